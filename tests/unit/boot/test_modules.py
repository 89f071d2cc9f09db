"""Modules for ESXi and Linux: what real tools unpack from them, and the same bytes wherever they are built."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from providers.boot import modules
from providers.boot.modules import KEY_PATH, Kind, ModuleFile, birth_module, build_cpio, build_module, midwife_module
from tests.support.tools import need

FILES = {"etc/x/b": ModuleFile(b"2" * 5, 0o755), "etc/a": ModuleFile(b""), "big": ModuleFile(bytes(range(256)) * 700)}


def unpack(module: bytes, kind: Kind, folder: Path) -> Path:
    folder.mkdir()
    how = ["tar", "xzf", "-"] if kind == "tgz" else ["sh", "-c", "gzip -dc | cpio --quiet -idm"]
    subprocess.run(how, input=module, cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("kind", ["tgz", "cpio"])
def test_real_tools_unpack_them(tmp_path: Path, kind: Kind) -> None:
    need("cpio", "gzip", "tar")
    module = build_module(FILES) if kind == "tgz" else build_cpio(FILES)
    folder = unpack(module, kind, tmp_path / kind)
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == {n: f.content for n, f in FILES.items()}
    assert {name: path.stat().st_mode & 0o7777 for name, path in found.items()} == {n: f.mode for n, f in FILES.items()}


def test_a_cpio_lists_folders_first_and_belongs_to_root() -> None:
    need("cpio", "gzip")
    text = subprocess.run(["sh", "-c", "gzip -dc | cpio --quiet -tvn"], input=build_cpio(FILES), capture_output=True,
                          check=True, env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ["PATH"]}).stdout.decode()
    rows = [line.split() for line in text.splitlines()]
    assert [row[-1] for row in rows] == ["big", "etc", "etc/a", "etc/x", "etc/x/b"]
    assert {(row[2], row[3]) for row in rows} == {("0", "0")}
    assert [row[0][0] for row in rows] == ["-", "d", "-", "d", "-"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "a//b", "./a", ""])
def test_paths_that_leave_the_root_are_refused(path: str) -> None:
    for build in (build_module, build_cpio):
        with pytest.raises(ValueError, match="relative and plain"):
            build({path: ModuleFile(b"")})


def test_a_birth_module_holds_the_key_only(tmp_path: Path) -> None:
    need("cpio", "gzip", "tar")
    key = bytes(range(32))
    for kind in ("tgz", "cpio"):
        folder = unpack(birth_module(key, kind), kind, tmp_path / kind)
        [path] = [p for p in folder.rglob("*") if p.is_file()]
        assert str(path.relative_to(folder)) == KEY_PATH
        assert path.stat().st_mode & 0o777 == 0o400
        assert path.read_text() == key.hex()


def test_names_carry_the_digest() -> None:
    assert midwife_module().name.endswith(".tgz")
    assert midwife_module("cpio").name.endswith(".cpio.gz")
    digest = hashlib.sha256(midwife_module().content).hexdigest()
    assert midwife_module().name == f"midwife-{digest[:16]}.tgz"


@pytest.mark.parametrize("kind", ["tgz", "cpio"])
def test_the_same_bytes_wherever_it_is_built(tmp_path: Path, kind: Kind) -> None:
    """Other folder, umask, time zone, locale, hash seed, file times, and the files' order in their folder."""
    source = Path(modules.__file__).parent
    folder = tmp_path / "elsewhere/é x"
    (folder / "providers/boot").mkdir(parents=True)
    for name in reversed(("modules.py", *modules.CARRIED)):
        shutil.copy(source / name, folder / "providers/boot" / name)
        os.utime(folder / "providers/boot" / name, (time.time() - 1e8, 1e9))
        (folder / "providers/boot" / name).chmod(0o600)
    code = ("import sys\nfrom providers.boot.modules import *\n"
            f"sys.stdout.buffer.write(midwife_module({kind!r}).content)")
    env = {"TZ": "Pacific/Chatham", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "1"}
    built = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, umask=0o077, capture_output=True,
                           check=True).stdout
    assert built == midwife_module(kind).content
