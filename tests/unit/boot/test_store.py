"""The image store: whole or not at all, whoever else works in it and whatever stops it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from planner.model import FleetError, Image
from providers.boot.adding import add_image
from providers.boot.images import Images
from providers.boot.pieces import ImageProblem, Piece
from providers.boot.store import Known, Named, Store
from tests.support.isos import contents, esx35, modern
from tests.unit.boot.kit import make_image

ROOT = Path(__file__).parents[3]
FILES = {"boot.cfg": b"kernel=b.b00\n", **contents(("b.b00", "mboot.efi", "sub/k.b00"), 3)}


def pieces(files: dict[str, bytes]) -> dict[str, Piece]:
    return {name: Piece(name, data=data) for name, data in files.items()}


def leftovers(store: Store) -> list[str]:
    return sorted(p.name for p in store.folder.iterdir() if p.name.startswith(".new-") or p.name.startswith(".index"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_image_is_stored_once_and_described(store: Store) -> None:
    first = store.add(pieces(FILES), others={"more.txt": Piece("x", data=b"more")}, loader="mboot", version="8.0")
    assert store.add(pieces(FILES), loader="mboot", version="8.0").digest == first.digest
    assert store.digests() == [first.digest]
    assert {n: (first.folder / n).read_bytes() for n in first.files} == {**FILES, "more.txt": b"more"}
    assert (first.loader, first.version, set(first.served)) == ("mboot", "8.0", set(FILES))
    assert store.find(first.digest) == first
    assert (store.find("0" * 64), Store(store.folder / "absent").digests(), leftovers(store)) == (None, [], [])
    assert all((first.folder / n).stat().st_mode & 0o222 == 0 for n in FILES), "nobody edits them by accident"


def test_verify_names_every_difference(store: Store) -> None:
    stored = store.add(pieces(FILES), loader="mboot", version="")
    assert store.damages(stored.digest) == []
    for name in FILES:
        (stored.folder / name).chmod(0o644)
    (stored.folder / "b.b00").write_bytes(FILES["b.b00"][::-1])  # same size, same everything else
    (stored.folder / "mboot.efi").write_bytes(b"short")
    (stored.folder / "sub/k.b00").unlink()
    (stored.folder / "boot.cfg").unlink()
    os.mkfifo(stored.folder / "boot.cfg")
    (stored.folder / "sub/stray").touch()
    found = store.damages(stored.digest)
    assert [line.removeprefix(f"{stored.folder}/") for line in found] == [
        "b.b00 has other content", "boot.cfg cannot be read: not a regular file",
        f"mboot.efi has 5 bytes instead of {len(FILES['mboot.efi'])}", "sub/k.b00 is missing",
        "sub/stray does not belong to it"]
    (stored.folder / ".image.json").unlink()
    assert store.damages(stored.digest) == [f"{stored.folder}/.image.json is missing"]
    (stored.folder / ".image.json").write_text("{")
    assert ".image.json" in store.damages(stored.digest)[0]


def test_adding_again_replaces_a_damaged_image(store: Store) -> None:
    stored = store.add(pieces(FILES), loader="mboot", version="")
    shutil.rmtree(stored.folder / "sub")
    assert store.add(pieces(FILES), loader="mboot", version="") == store.find(stored.digest)
    assert store.damages(stored.digest) == []
    assert leftovers(store) == []


def test_a_stored_image_is_not_hashed_again_until_a_file_changes(store: Store, tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    iso = modern(tmp_path)
    image = Image("x", str(iso.path))
    folder = Images(store).materialize(image).folder
    monkeypatch.setattr("providers.boot.images.hashlib", None)  # of files
    assert Images(store).materialize(image).folder == folder
    monkeypatch.undo()
    (folder / "s.v00").chmod(0o644)
    (folder / "s.v00").write_bytes(b"changed by hand")
    with pytest.raises(FleetError, match="a stored image is damaged"):
        Images(store).materialize(image)
    shutil.rmtree(folder)
    assert Images(store).materialize(image).files["s.v00"].path.read_bytes() == iso.expected["s.v00"]


# --- several at once, and killed ones -------------------------------------------------------------------------

ADD = """
import sys
from pathlib import Path
from providers.boot.adding import add_image
from providers.boot.store import Store
entry, _ = add_image(Store(Path(sys.argv[1])), sys.argv[2], sys.argv[3], "")
print(entry.digest)
"""


def adding(store: Store, name: str, source: Path, code: str = ADD) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, str(store.folder), name, str(source)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_processes_that_add_at_once_lose_nothing(store: Store, tmp_path: Path) -> None:
    one, two = modern(tmp_path / "one"), modern(tmp_path / "two", seed=5)
    started = [adding(store, f"n{i}", (one, two)[i % 2].path) for i in range(6)]
    results = [(p.communicate(timeout=120), p.returncode) for p in started]
    assert [code for _, code in results] == [0] * 6, results
    names = store.names()
    assert sorted(names) == [f"n{i}" for i in range(6)]
    assert [names[f"n{i}"].digest for i in range(6)] == [out.strip() for (out, _), _ in results]
    assert len(store.digests()) == 2
    assert [store.damages(digest) for digest in store.digests()] == [[], []]
    assert leftovers(store) == []


def test_threads_that_need_one_image_extract_it_once(store: Store, tmp_path: Path) -> None:
    image, images, found = Image("x", str(modern(tmp_path).path)), Images(store), list[str]()
    threads = [threading.Thread(target=lambda: found.append(images.materialize(image).digest)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == store.digests() * 8


KILLED = """
import os, signal, sys
from providers.boot import pieces
honest, calls = pieces.Copier.copy, []
def copy(copier, piece, target, *, hashed=True):
    calls.append(piece)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return honest(copier, piece, target, hashed=hashed)
pieces.Copier.copy = copy
""" + ADD


@pytest.mark.parametrize("make", [modern, esx35])
def test_a_killed_add_leaves_nothing_half(make: object, store: Store, tmp_path: Path) -> None:
    assert callable(make)
    iso = make(tmp_path)
    process = adding(store, "x", iso.path, KILLED)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert (store.digests(), store.names(), len(leftovers(store))) == ([], {}, 1)
    entry, _ = add_image(store, "x", str(iso.path), "")
    assert (store.digests(), leftovers(store), store.damages(entry.digest)) == ([entry.digest], [], [])


def test_what_another_process_is_writing_is_not_swept_away(store: Store) -> None:
    with store.scratch() as mine:
        store.add(pieces(FILES), loader="mboot", version="")
        assert mine.is_dir()
    assert leftovers(store) == []
    (store.folder / ".new-old").mkdir()  # killed before it had made its lock
    store.add(pieces(FILES), loader="mboot", version="")
    assert leftovers(store) == []


# --- no space, no rights ----------------------------------------------------------------------------------------


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file may become larger: writes fail with EFBIG, as they fail with ENOSPC on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, previous)


@pytest.mark.parametrize("make", [modern, esx35])
@pytest.mark.parametrize("known", [False, True])
def test_no_space_left_while_extracting(make: object, known: bool, store: Store, tmp_path: Path) -> None:
    assert callable(make)
    image = Image("x", str(make(tmp_path, **({"size": 60_000} if make is modern else {})).path))
    if known:  # the second way to copy
        Images(store).outline(image)
        for digest in store.digests():
            shutil.rmtree(store.folder / digest)
    with file_limit(40_000), pytest.raises(FleetError) as caught:
        Images(store).materialize(image)
    (found,) = caught.value.diagnostics
    assert (found.summary, str(store.folder) in found.detail) == ("no space left for an image", True)
    assert "provider.boot.images" in found.remedy
    assert (store.digests(), leftovers(store)) == ([], [])
    assert Images(store).materialize(image).digest == store.digests()[0]


def test_space_that_cannot_suffice_is_told_before_the_work(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.boot.store.shutil.disk_usage",
                        lambda path: shutil._ntuple_diskusage(10 << 20, 8 << 20, 2 << 20))
    huge = Piece("x", ((0, 5 << 20),), descriptor=-1)  # reading it would fail
    with pytest.raises(ImageProblem, match="5 MiB are needed, 2 MiB are free"):
        store.add({"boot.cfg": huge}, loader="mboot", version="")
    assert leftovers(store) == []


def test_a_store_where_a_file_is_in_the_way(store: Store, tmp_path: Path) -> None:
    store.folder.write_text("not a folder")
    with pytest.raises(FleetError, match="an image cannot be stored"):
        Images(store).materialize(Image("x", str(modern(tmp_path).path)))


# --- the index ----------------------------------------------------------------------------------------------------


def test_names_move_and_their_images_stay(store: Store, tmp_path: Path) -> None:
    first, _ = add_image(store, "esxi8", str(make_image(tmp_path / "a")), "")
    second, before = add_image(store, "esxi8", str(make_image(tmp_path / "b", size=5)), "")
    assert (before, store.names()) == (first, {"esxi8": second})
    assert store.digests() == sorted((first.digest, second.digest))
    assert (second.source, second.version) == (str(tmp_path / "b"), "8.0.3-0.0.24022510")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"format": 2, "names": {}}', b'{"names": {"x": {"digest": 1}}}',
                                     b'{"names": 7}', b"\xff"])
def test_a_damaged_index_is_an_error_that_names_it(content: bytes, store: Store, tmp_path: Path) -> None:
    store.folder.mkdir()
    (store.folder / "index.json").write_bytes(content)
    with pytest.raises(FleetError, match=r"index\.json"):
        add_image(store, "x", str(make_image(tmp_path / "a")), "")
    assert (store.folder / "index.json").read_bytes() == content


def test_a_damaged_cache_is_as_good_as_none(store: Store, tmp_path: Path) -> None:
    iso = Image("x", str(modern(tmp_path).path))
    first = Images(store).outline(iso)
    for content in (b"{", b"[1]", json.dumps({k: 3 for k in json.loads((store.folder / "sources.json").read_bytes())})):
        (store.folder / "sources.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        assert Images(store).outline(iso) == first
    for number in range(80):
        store.remember(f"iso:{number}", Known("d"))
    assert len(json.loads((store.folder / "sources.json").read_bytes())) == 64


def test_an_iso_may_be_gone_once_it_is_stored(store: Store, tmp_path: Path) -> None:
    import hashlib

    iso = modern(tmp_path)
    checksum = hashlib.sha256(iso.path.read_bytes()).hexdigest()
    entry, _ = add_image(store, "esxi8", str(iso.path), checksum)
    iso.path.unlink()
    assert Images(store).materialize(Image("x", str(iso.path), checksum)).digest == entry.digest
    for declared in ("", "0" * 64):
        with pytest.raises(FleetError, match="an ISO image does not exist"):
            Images(store).materialize(Image("x", str(iso.path), declared))


def test_an_entry_whose_files_are_gone_is_no_image(store: Store, tmp_path: Path) -> None:
    store.folder.mkdir()
    store.set_name("x", Named("d" * 64, "gone", "e" * 64, "mboot", "", ""))
    with pytest.raises(FleetError, match="an ISO image does not exist"):
        Images(store).materialize(Image("x", str(tmp_path / "gone.iso"), "e" * 64))
