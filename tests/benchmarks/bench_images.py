"""An installer ISO becomes a staged image, beside bsdtar on the same ISO: `… bench_images FOLDER MEGABYTES`.

Ratios of CPU time within one run, the least of three rounds. `apply` stages an image whose digest the plan knows, thus
copies; `fleet image add` hashes every file as well, so that bsdtar and the hashing of what it wrote stand against it.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Failed, Reading, Work

ROOT = Path(__file__).parents[2]
MODULES = 150
ROUNDS = 3
FIGURES = "images.json"


def write_iso(folder: Path, megabytes: int) -> None:
    """An ISO like those of ESXi 8: `MODULES` files of random bytes."""
    tree = folder / "tree"
    (tree / "efi/boot").mkdir(parents=True)
    names = [f"m{n:03}.v00" for n in range(MODULES)]
    for name in names:
        (tree / name).write_bytes(os.urandom((megabytes << 20) // MODULES))
    (tree / "boot.cfg").write_text(f"kernel=/{names[0]}\nmodules=/{' --- /'.join(names[1:])}\n")
    (tree / "efi/boot/bootx64.efi").write_bytes(os.urandom(200_000))
    _run("genisoimage", "-quiet", "-R", "-o", str(folder / "esxi.iso"), str(tree))
    shutil.rmtree(tree)


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise Failed(f"{command[0]} is not installed")
    subprocess.run(command, check=True)


def _cpu(work: Callable[[], Any], who: int = resource.RUSAGE_SELF) -> float:
    before = resource.getrusage(who)
    work()
    after = resource.getrusage(who)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _hash_all(folder: Path) -> None:
    for path in folder.rglob("*.v00"):
        with path.open("rb", buffering=0) as file:
            hashlib.file_digest(file, "sha256")


def measure(folder: Path) -> dict[str, float]:
    """CPU seconds: bsdtar, hashing, extraction with hashing (added) and without (staged)."""
    from providers.boot.sources import Sources
    from providers.boot.store import Store

    iso, plain, store = folder / "esxi.iso", folder / "plain", Store(folder / "store")
    sources, found = Sources(store, lambda _line: None), dict[str, list[float]]()
    for _ in range(ROUNDS):
        plain.mkdir()
        _note(found, "bsdtar", lambda: _run("bsdtar", "-xf", str(iso), "-C", str(plain)), resource.RUSAGE_CHILDREN)
        _note(found, "hashing", lambda: _hash_all(plain))
        shutil.rmtree(plain)
        _note(found, "added", lambda: sources.stage_iso(iso))
        digests = store.digests()
        shutil.rmtree(store.folder)
        sources.look(iso)  # what a plan does
        _note(found, "staged", lambda: sources.stage_iso(iso))
        assert store.digests() == digests
        assert not store.damages(digests[0])
        shutil.rmtree(store.folder)
    return {name: min(figures) for name, figures in found.items()}


def _note(found: dict[str, list[float]], name: str, work: Callable[[], Any], who: int = resource.RUSAGE_SELF) -> None:
    found.setdefault(name, []).append(_cpu(work, who))


def readings(folder: Path) -> Sequence[Reading]:
    cpu = json.loads((folder / FIGURES).read_bytes())
    with_hash = cpu["bsdtar"] + cpu["hashing"]
    return (Reading("staged / bsdtar", 100 * cpu["staged"] / cpu["bsdtar"], 150, "%"),
            Reading("added, SHA-256 of all / bsdtar and hashing", 100 * cpu["added"] / with_hash, 150, "%"),
            Reading("added, SHA-256 of all / bsdtar", 100 * cpu["added"] / cpu["bsdtar"], 150, "%"))


def _command(folder: Path, size: int) -> Sequence[str]:
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.benchmarks.bench_images import main; main()"
    return [sys.executable, "-c", start, str(folder), str(size)]


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / FIGURES).write_text(json.dumps(measure(folder)))


WORKS = (Work("image-iso", f"ISO of 600 MB to image, and bsdtar, {ROUNDS} rounds", 600, 12.0, _command, write_iso,
              memory=150, repeats=1, readings=readings),)
