"""Image folders: what must be there, and the digest of their content."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from planner.model import Fleet, FleetError, Image, SecretRef
from providers.boot import BootProvider
from providers.boot.bootcfg import BootCfgError, parse, render
from providers.boot.images import Images
from providers.boot.modules import KEY_PATH, ModuleFile, birth_key, birth_module, build_module, midwife_module
from tests.unit.boot.kit import BOOT_CFG, make_fleet, make_image


def digest_of(folder: Path) -> str:
    return Images().manifest(Image("x", str(folder))).digest


def test_digest_is_of_content_not_of_place_or_time(tmp_path: Path) -> None:
    one, two = make_image(tmp_path / "one"), make_image(tmp_path / "two")
    os.utime(two / "b.b00", (1, 1))
    (two / "notes.txt").write_text("not named by boot.cfg")
    assert digest_of(one) == digest_of(two)
    (two / "s.v00").write_bytes(b"!")
    assert digest_of(one) != digest_of(two)


def test_digest_sees_a_renamed_module(tmp_path: Path) -> None:
    one = make_image(tmp_path / "one")
    before = digest_of(one)
    (one / "s.v00").rename(one / "t.v00")
    (one / "boot.cfg").write_text(BOOT_CFG.replace("s.v00", "t.v00"))
    assert digest_of(one) != before


def test_unchanged_files_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, images = make_image(tmp_path / "one"), Images()
    first = images.manifest(Image("x", str(folder)))
    monkeypatch.setattr(hashlib, "sha256", None)  # any further hashing of a file would fail
    from providers.boot import images as module

    monkeypatch.setattr(module, "_content_digest", lambda files: "".join(f.sha256 for f in files.values()))
    again = images.manifest(Image("x", str(folder)))
    assert {n: f.sha256 for n, f in again.files.items()} == {n: f.sha256 for n, f in first.files.items()}


def problems(fleet: Fleet) -> list[str]:
    with pytest.raises(FleetError) as caught:
        BootProvider().image_digests(fleet)
    return [f"{d.summary}: {d.detail}" for d in caught.value.diagnostics]


def test_everything_missing_is_named_at_once(tmp_path: Path) -> None:
    folder = make_image(tmp_path / "one")
    for name in ("mboot.efi", "jumpstrt.gz", "s.v00"):
        (folder / name).unlink()
    found = problems(make_fleet(folder))
    assert len(found) == 3
    assert found[0].startswith("an image folder has no boot loader")
    assert f"{folder}/jumpstrt.gz, which boot.cfg names" in found[1]
    assert f"{folder}/s.v00" in found[2]


def test_the_loader_is_what_boot_cfg_says(tmp_path: Path) -> None:
    folder = make_image(tmp_path / "one")
    assert Images().manifest(Image("x", str(folder))).loader == "mboot"
    (folder / "boot.cfg").write_text(f"loader=legacy\n{BOOT_CFG}")
    assert Images().manifest(Image("x", str(folder))).loader == "legacy"
    (folder / "mboot.efi").unlink()
    (folder / "boot.cfg").write_text("loader=linux\nkernel=b.b00\nmodules=s.v00\n")
    assert Images().manifest(Image("x", str(folder))).loader == "linux"
    (folder / "boot.cfg").write_text("loader=grub\nkernel=b.b00\n")
    with pytest.raises(FleetError, match="loader=grub"):
        Images().manifest(Image("x", str(folder)))


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(("make", "expected"), [
    (lambda f: (f / "boot.cfg").unlink(), "an image file is missing"),
    (lambda f: (f / "boot.cfg").write_text("modules=a\n"), "it has no `kernel=` line"),
    (lambda f: (f / "boot.cfg").write_text("kernel=http://elsewhere/b.b00\n"), "names a URL"),
    (lambda f: (f / "boot.cfg").write_text("kernel=../b.b00\n"), "outside its own folder"),
    (lambda f: ((f / "s.v00").unlink(), (f / "s.v00").symlink_to("/etc/hostname")), "lies outside its folder"),
    (lambda f: fifo(f / "s.v00"), "not a regular file"),
    (lambda f: ((f / "s.v00").unlink(), (f / "s.v00").mkdir()), "cannot be read"),
    (lambda f: ((f / "s.v00").unlink(), (f / "s.v00").symlink_to("s.v00")), "cannot be read"),
])
def test_unusable_folders_say_why(tmp_path: Path, make: object, expected: str) -> None:
    folder = make_image(tmp_path / "one")
    make(folder)  # type: ignore[operator]
    assert any(expected in line for line in problems(make_fleet(folder)))


def test_a_link_inside_the_folder_is_fine(tmp_path: Path) -> None:
    folder = make_image(tmp_path / "one")
    before = digest_of(folder)
    (folder / "s.v00").rename(folder / "real.v00")
    (folder / "s.v00").symlink_to("real.v00")
    assert digest_of(folder) == before


def test_declared_sha256_is_compared(tmp_path: Path) -> None:
    folder = make_image(tmp_path / "one")
    right = digest_of(folder)
    assert BootProvider().image_digests(make_fleet(folder, sha256=right.upper())) == {"esxi8": right}
    (found,) = problems(make_fleet(folder, sha256="0" * 64))
    assert f"declared {'0' * 64}, found {right}" in found


@pytest.mark.parametrize(("source", "expected"), [
    ("{tmp}/esxi8.iso", "an ISO image cannot be read"),
    ("{tmp}/gone.iso", "an ISO image does not exist"),
    ("{tmp}/absent", "an image folder does not exist"),
])
def test_other_sources_are_refused_by_name(tmp_path: Path, source: str, expected: str,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "esxi8.iso").write_bytes(b"CD001")
    fleet = Fleet("lab", "f", str(tmp_path), {}, {}, {"esxi8": Image("esxi8", source.format(tmp=tmp_path))})
    (found,) = problems(fleet)
    assert found.startswith(expected)


@pytest.mark.parametrize(("block", "expected"), [
    ({"midwife": "https://midwife.lab.example:8443", "identity": SecretRef("file:lab.pem")}, []),
    ({"midwife": "https://midwife.lab.example"}, ["a remote midwife needs an identity"]),
    ({"identity": SecretRef("file:lab.pem")}, ["an identity is for a remote midwife"]),
    ({"midwife": "http://midwife.lab.example", "identity": SecretRef("env:X")}, ["this is no address of a midwife"]),
    ({"midwife": "https://lab.example/v1", "identity": SecretRef("env:X")}, ["this is no address of a midwife"]),
])
def test_a_remote_midwife_needs_an_https_address_and_an_identity(tmp_path: Path, block: dict[str, Any],
                                                                 expected: list[str]) -> None:
    fleet = make_fleet(make_image(tmp_path / "one"), block=block)
    assert [found.summary for found in BootProvider().problems(fleet)] == expected
    assert BootProvider().image_digests(fleet)  # an image's identity is told from here, whoever serves it


def test_boot_cfg_is_rendered_for_one_machine() -> None:
    cfg = parse(BOOT_CFG)
    assert cfg.files() == ("b.b00", "jumpstrt.gz", "useropts.gz", "s.v00")
    assert cfg.build == "8.0.3-0.0.24022510"
    text = render(cfg, prefix="http://h/images/d", kernelopt=["midwife=https://h", "birth=n"],
                  modules=["http://h/m.tgz", "http://h/b.tgz"])
    assert text.splitlines() == [
        "title=Loading ESXi installer", "timeout=5", "build=8.0.3-0.0.24022510", "prefix=http://h/images/d",
        "kernel=b.b00", "kernelopt=ignoreHeadless=TRUE midwife=https://h birth=n",
        "modules=jumpstrt.gz --- useropts.gz --- s.v00 arg=1 --- http://h/m.tgz --- http://h/b.tgz",
    ]


def test_boot_cfg_keeps_crypto_tables_and_repeated_modules() -> None:
    cfg = parse("# comment\nKERNEL = /k\nmodules=a --- b\nmodules=/c\ncrypto=cr\nacpitables=/t1 --- t2\nodd\nx=1\n")
    assert cfg.files() == ("k", "a", "b", "c", "t1", "t2", "cr")
    text = render(cfg, prefix="p", kernelopt=[], modules=[])
    assert "crypto=cr\nacpitables=t1 --- t2\nmodules=a --- b --- c\n" in text
    with pytest.raises(BootCfgError):
        parse("kernel=a/../../b")


def test_modules_are_reproducible_old_gnu_tar() -> None:
    import gzip
    import io
    import tarfile

    module = build_module({"etc/x/b": ModuleFile(b"2", 0o1755), "etc/a": ModuleFile(b"1")})
    assert module == build_module({"etc/a": ModuleFile(b"1"), "etc/x/b": ModuleFile(b"2", 0o1755)})
    raw = gzip.decompress(module)
    assert raw[257:265] == b"ustar  \0"
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        entries = archive.getmembers()
    assert [(e.name, e.isdir(), e.mode, e.uid, e.gid, e.mtime) for e in entries] == [
        ("etc", True, 0o755, 0, 0, 0), ("etc/a", False, 0o644, 0, 0, 0), ("etc/x", True, 0o755, 0, 0, 0),
        ("etc/x/b", False, 0o1755, 0, 0, 0)]
    assert midwife_module().name == midwife_module().name
    with pytest.raises(ValueError, match="relative"):
        build_module({"/etc/passwd": ModuleFile(b"")})


def test_birth_key_round_trip() -> None:
    key = bytes(range(32))
    assert birth_key(birth_module(key)) == key
    for junk in (b"", b"junk", birth_module(key)[:40], build_module({"etc/other": ModuleFile(b"x")})):
        with pytest.raises(ValueError, match=r"birth\.tgz"):
            birth_key(junk)
    with pytest.raises(ValueError, match="non-hexadecimal"):
        birth_key(build_module({KEY_PATH: ModuleFile(b"zz")}))


def test_importing_the_providers_is_cheap() -> None:
    code = ("import sys, providers.boot, providers.power; providers.boot.provider.operations(); "
            "providers.boot.provider.block(); print([m for m in ('aiohttp', 'cryptography', 'tftpy', 'asyncio', 'ssl')"
            " if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
