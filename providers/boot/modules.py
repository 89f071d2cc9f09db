"""Modules that are appended to an image's own: `.tgz` files that ESXi unpacks over its root at boot.

The format is what ESXi's loader takes: old GNU tar, uid and gid 0, explicit parent folders. Same input, same bytes:
no times, no names, no compressor's header that changes, so that `midwife.tgz` is measured alike at every boot.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

KEY_PATH = "etc/midwife/birth.key"
"""Where the per-boot HMAC key (64 hex digits) is found on the host; `birth.tgz` holds this file only."""

PAYLOAD_PATH = "opt/midwife/payload.py"
LOCAL_SH = "etc/rc.local.d/local.sh"


@dataclass(frozen=True, slots=True)
class ModuleFile:
    content: bytes
    mode: int = 0o644


def build_module(files: Mapping[str, ModuleFile]) -> bytes:
    """A deterministic `.tgz` of these files (path → content). Raises ValueError on a path that is not relative."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        made: set[str] = set()
        for path in sorted(files):
            parts = path.split("/")
            if path.startswith("/") or "" in parts or ".." in parts:
                raise ValueError(f"a module path must be relative and plain: {path!r}")
            for depth in range(1, len(parts)):
                parent = "/".join(parts[:depth])
                if parent not in made:
                    made.add(parent)
                    entry = tarfile.TarInfo(parent)
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(entry)
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(files[path].content), files[path].mode
            archive.addfile(entry, io.BytesIO(files[path].content))
    return gzip.compress(raw.getvalue(), compresslevel=9, mtime=0)


def birth_module(key: bytes) -> bytes:
    """`birth.tgz` of one boot: the 32 random bytes that its birth is signed with."""
    return build_module({KEY_PATH: ModuleFile(key.hex().encode(), 0o400)})


def birth_key(module: bytes) -> bytes:
    """The key inside a `birth.tgz`. Raises ValueError where the module holds none."""
    try:
        with tarfile.open(fileobj=io.BytesIO(module), mode="r:gz") as archive:
            found = archive.extractfile(KEY_PATH)
            if found is None:
                raise ValueError("birth.tgz holds no key")
            return bytes.fromhex(found.read(256).decode("ascii"))
    except (KeyError, OSError, EOFError, tarfile.TarError, UnicodeDecodeError) as error:
        raise ValueError(f"birth.tgz cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Module:
    """A module that is the same for every machine; its name carries its digest."""

    content: bytes

    @property
    def name(self) -> str:
        return f"midwife-{hashlib.sha256(self.content).hexdigest()[:16]}.tgz"


def midwife_module() -> Module:
    """`midwife.tgz`: what a host runs once after boot to announce its birth. Reproducible, without any secret."""
    payload = Path(__file__).with_name("payload.py").read_bytes()
    start = (
        "#!/bin/sh ++group=host/vim/tmp\n"
        "# Announces this boot to the midwife named on the kernel command line; in the background, since the\n"
        "# network may come up late.\n"
        f"python3 /{PAYLOAD_PATH} >/var/log/midwife.log 2>&1 &\n"
        "exit 0\n"
    )
    return Module(build_module({
        LOCAL_SH: ModuleFile(start.encode(), 0o1755),
        PAYLOAD_PATH: ModuleFile(payload, 0o644),
    }))
