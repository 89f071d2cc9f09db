"""Modules that are appended to an image's own: archives that the booted system unpacks over its root.

Two kinds: `tgz` is what ESXi's loader takes (old GNU tar, uid and gid 0, explicit parent folders); `cpio` is what
Linux takes as a further initramfs (newc, gzip). Same paths inside. Same input, same bytes: no times, no names, no
compressor's header that changes, so that `midwife.tgz` is measured alike at every boot.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["tgz", "cpio"]

KEY_PATH = "etc/midwife/birth.key"
"""Where the per-boot HMAC key (64 hex digits) is found on the host; `birth.tgz` holds this file only."""

PAYLOAD = "providers.boot.payload"
CARRIED = ("platforms.py", "payload.py")
PAYLOAD_FOLDER = "opt/midwife"
LOCAL_SH = "etc/rc.local.d/local.sh"


@dataclass(frozen=True, slots=True)
class ModuleFile:
    content: bytes
    mode: int = 0o644


def build_module(files: Mapping[str, ModuleFile]) -> bytes:
    """A deterministic `.tgz` of these files (path → content). Raises ValueError on a path that is not relative."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, file in _entries(files):
            entry = tarfile.TarInfo(path)
            if file is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                entry.size, entry.mode = len(file.content), file.mode
                archive.addfile(entry, io.BytesIO(file.content))
    return _gzip(raw.getvalue())


def build_cpio(files: Mapping[str, ModuleFile]) -> bytes:
    """The same files as a deterministic gzip'd cpio (newc; Linux' Documentation/driver-api/early-userspace).

    Raises ValueError on a path that is not relative.
    """
    raw = bytearray()
    for number, (path, file) in enumerate(_entries(files), start=1):
        mode = 0o40755 if file is None else 0o100000 | file.mode
        raw += _newc(path, number, mode, 2 if file is None else 1, b"" if file is None else file.content)
    raw += _newc("TRAILER!!!", 0, 0, 1, b"")
    return _gzip(bytes(raw))


def _gzip(data: bytes) -> bytes:
    """A gzip file (RFC 1952) of stored blocks (RFC 1951, 3.2.4): what compressors make changes with their versions,
    and so do `gzip`'s headers with Python's; this is the same everywhere, and some 20 KB need no compression.
    """
    out = bytearray(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")  # deflate, no time, no name, unknown system
    blocks = [data[i:i + 0xFFFF] for i in range(0, len(data), 0xFFFF)] or [b""]
    for number, block in enumerate(blocks, start=1):
        out += struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF) + block
    return bytes(out) + struct.pack("<LL", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def _newc(path: str, inode: int, mode: int, links: int, content: bytes) -> bytes:
    name = path.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device (major, minor) twice, length of the name, no checksum
    numbers = (inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def _entries(files: Mapping[str, ModuleFile]) -> Iterator[tuple[str, ModuleFile | None]]:
    """Every file after its parent folders (None), in order of their paths."""
    made: set[str] = set()
    for path in sorted(files):
        parts = path.split("/")
        if path.startswith("/") or {"", ".", ".."} & set(parts):
            raise ValueError(f"a module path must be relative and plain: {path!r}")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            if parent not in made:
                made.add(parent)
                yield parent, None
        yield path, files[path]


def _build(files: Mapping[str, ModuleFile], kind: Kind) -> bytes:
    return build_module(files) if kind == "tgz" else build_cpio(files)


def birth_module(key: bytes, kind: Kind = "tgz") -> bytes:
    """`birth.tgz` (or `birth.cpio.gz`) of one boot: the 32 random bytes that its birth is signed with."""
    return _build({KEY_PATH: ModuleFile(key.hex().encode(), 0o400)}, kind)


def birth_key(module: bytes) -> bytes:
    """The key inside a `birth.tgz`. Raises ValueError where the module holds none."""
    return bytes.fromhex(module_file(module, KEY_PATH)[:256].decode("ascii"))


def module_file(module: bytes, path: str) -> bytes:
    """A small file inside a `.tgz` module. Raises ValueError where it holds none."""
    try:
        with tarfile.open(fileobj=io.BytesIO(module), mode="r:gz") as archive:
            found = archive.extractfile(path)
            if found is None:
                raise ValueError(f"the module holds no {path}")
            return found.read(65536)
    except (KeyError, OSError, EOFError, tarfile.TarError) as error:
        raise ValueError(f"this module (birth.tgz) cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Module:
    """A module that is the same for every machine; its name carries its digest."""

    content: bytes
    kind: Kind = "tgz"

    @property
    def name(self) -> str:
        suffix = "tgz" if self.kind == "tgz" else "cpio.gz"
        return f"midwife-{hashlib.sha256(self.content).hexdigest()[:16]}.{suffix}"


def midwife_module(kind: Kind = "tgz") -> Module:
    """`midwife.tgz`: what a host runs once after boot to announce its birth. Reproducible, without any secret.

    The Python files lie there as they do here (below `providers/boot`, a namespace package), so that they import
    each other by the same names.
    """
    here = Path(__file__).parent
    files = {f"{PAYLOAD_FOLDER}/providers/boot/{name}": ModuleFile((here / name).read_bytes()) for name in CARRIED}
    files[LOCAL_SH] = ModuleFile(_starter(kind).encode(), 0o1755 if kind == "tgz" else 0o755)
    return Module(_build(files, kind), kind)


def _starter(kind: Kind) -> str:
    """The script that ESXi runs at the end of its boot, and the init of a Linux image by hand.

    POSIX sh as busybox has it. `++group` is VMware's way to say which memory a script's children count to; other
    shells take it for an option. Its own path says what lies above it: "" once it is booted.
    """
    shell = "#!/bin/sh ++group=host/vim/tmp" if kind == "tgz" else "#!/bin/sh"
    return f"""{shell}
# Announces this boot to the midwife that the kernel command line names; in the background, since link, address and
# certificate may come late. Says what it does in /var/log/midwife.log.
case $0 in
    */{LOCAL_SH}) root=${{0%/{LOCAL_SH}}} ;;
    *) root= ;;
esac
PATH=$root/bin:$root/sbin:$root/usr/bin:/bin:/sbin:/usr/bin:/usr/sbin
PYTHONPATH=$root/{PAYLOAD_FOLDER}
export PATH PYTHONPATH
mkdir -p "$root/var/log" "$root/var/run"
log=$root/var/log/midwife.log
for python in python3 python; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 5))' 2>/dev/null; then
        cd /
        "$python" -B -m {PAYLOAD} </dev/null >>"$log" 2>&1 &
        exit 0
    fi
done
echo "there is no Python 3.5 or later: this host cannot announce itself; declare it with birth: agentless" >>"$log"
exit 0
"""
