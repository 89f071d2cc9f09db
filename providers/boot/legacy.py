"""ESX 3.5 and 4.x: boot files from the compressed disk image that their installers write to disk.

Where it lies (facts of public documentation; `boot.md`): 3.5 in `install.tgz` and 4.0 in `image.tgz`, both as
`usr/lib/vmware/installer/VMware-VMvisor-big-*.dd.bz2`; 4.1 as `imagedd.bz2`. Its partition Hypervisor0 holds the boot
loader, Hypervisor1 the system. pxelinux loads `mboot.c32` and hands it kernel and modules in the order below.
"""

from __future__ import annotations

import bz2
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from providers.boot.bootcfg import SEPARATOR, BootCfg, BootCfgError, parse
from providers.boot.disk import FAT_TYPES, Volume, partitions, read_volume
from providers.boot.iso import IsoFiles
from providers.boot.pieces import ImageProblem, Piece, PieceReader

ARCHIVES = ("install.tgz", "image.tgz")
DISK_IMAGE = "imagedd.bz2"
_MEMBER = re.compile(r"(?:\./)?usr/lib/vmware/installer/VMware-VMvisor-big-([0-9A-Za-z.-]+?)[.-](?:i386|x86_64)"
                     r"\.dd\.bz2")
_BUILD = re.compile(r"\d+(\.\d+)*-[0-9.]+\Z")
_NAME = re.compile(r"[a-z0-9_][a-z0-9._~-]*\Z")


@dataclass(frozen=True, slots=True)
class Generation:
    """Its kernel, its modules in boot order, and what it cannot do without (one of each tuple)."""

    kernel: str
    order: tuple[str, ...]
    required: tuple[tuple[str, ...], ...]


GENERATIONS = (
    Generation("vmkboot.gz", ("vmkernel.gz", "vmk.gz", "sys.vgz", "cim.vgz", "oem.tgz", "license.tgz", "ienviron.vgz",
                              "install.vgz", "mod.tgz"), (("vmkernel.gz", "vmk.gz"), ("sys.vgz",), ("cim.vgz",))),
    Generation("vmkernel.gz", ("binmod.tgz", "environ.tgz", "cim.tgz", "oem.tgz", "license.tgz"),
               (("binmod.tgz",), ("environ.tgz",), ("cim.tgz",))),
)
"""ESX 4.x (whose vmkernel.gz is a module), then 3.5."""

FROM_ISO = ("ienviron.vgz", "install.vgz", "mboot.c32")
"""Files of the 4.x installer that lie on its ISO only."""

OF_ONE_HOST = frozenset({"state.tgz", "local.tgz"})
"""Configuration that a running host saves; it is never part of an image."""

MAX_DISK = 8 << 30
CHUNK = 1 << 20
CORRUPT = "take the ISO from its publisher again, and compare its sha256"


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Legacy:
    """The boot files (`files`, with a boot.cfg of ours), the rest of Hypervisor1 (`others`), and the version."""

    files: Mapping[str, Piece]
    others: Mapping[str, Piece]
    version: str


def is_legacy(iso: IsoFiles) -> bool:
    return any(name in iso.pieces for name in (*ARCHIVES, DISK_IMAGE))


@contextmanager
def open_legacy(iso: IsoFiles, scratch: Callable[[], BinaryIO], say: Callable[[str], None]) -> Iterator[Legacy]:
    """Unpack the disk image into the file that `scratch` makes (sparse; its pieces are good while this is open).

    Raises ImageProblem; OSError where the disk is full.
    """
    say(f"unpacking the disk image within {iso.label}")
    with scratch() as disk:
        version = _unpack(iso, disk)
        disk.flush()
        yield _boot_files(iso, disk, version)


def _unpack(iso: IsoFiles, disk: BinaryIO) -> str:
    """Decompress the disk image; returns the version that its name tells, or ""."""
    direct = iso.find(DISK_IMAGE)
    try:
        if direct is not None:
            _inflate(cast(_Stream, PieceReader(direct)), disk, direct.label)
            return ""
        for name in ARCHIVES:
            archive = iso.find(name)
            if archive is None:
                continue
            with tarfile.open(fileobj=cast(BinaryIO, PieceReader(archive)), mode="r|gz", bufsize=CHUNK) as tar:
                for member in tar:
                    found = _MEMBER.fullmatch(member.name)
                    content = tar.extractfile(member) if found is not None and member.isreg() else None
                    if found is not None and content is not None:
                        _inflate(content, disk, f"{archive.label}: {member.name}")
                        return found.group(1)
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise ImageProblem("the disk image in an ISO is corrupt", f"{iso.label}: {error}", CORRUPT) from error
    raise ImageProblem("an ISO image holds no disk image of ESX", f"{iso.label}: no VMware-VMvisor-big-*.dd.bz2 within "
                       f"{' or '.join(n for n in ARCHIVES if n in iso.pieces)}", "name the ISO of an ESXi installer")


def _inflate(packed: _Stream, disk: BinaryIO, label: str) -> None:
    """bzip2 → a sparse file. Raises ImageProblem where the stream is damaged, incomplete or beyond reason."""
    size, unpacker, zeros = 0, bz2.BZ2Decompressor(), bytes(CHUNK)
    try:
        while chunk := packed.read(CHUNK):
            while chunk:
                if unpacker.eof:  # pbzip2 writes many streams, one after the other
                    unpacker = bz2.BZ2Decompressor()
                data = unpacker.decompress(chunk, CHUNK)
                while data:
                    size += len(data)
                    if size > MAX_DISK:
                        raise ImageProblem("a disk image is too large", f"{label}: over {MAX_DISK >> 30} GiB", CORRUPT)
                    if data == zeros[:len(data)]:
                        disk.seek(len(data), 1)
                    else:
                        disk.write(data)
                    data = b"" if unpacker.needs_input or unpacker.eof else unpacker.decompress(b"", CHUNK)
                chunk = unpacker.unused_data
    except OSError as error:
        if error.errno is not None:  # the disk's error; bz2's own carry no number
            raise
        raise ImageProblem("the disk image in an ISO is corrupt", f"{label}: {error}", CORRUPT) from error
    if not unpacker.eof:
        raise ImageProblem("the disk image in an ISO is corrupt", f"{label}: its compressed data ends too early",
                           CORRUPT)
    disk.truncate(size)


def _boot_files(iso: IsoFiles, disk: BinaryIO, version: str) -> Legacy:
    label = f"{iso.label}: disk image"
    volumes = [read_volume(disk, p, label) for p in partitions(disk, label) if p.kind in FAT_TYPES]
    system = _holding(volumes, "hypervisor1", lambda v: any(k in v.files for k in ("vmkernel.gz", "vmkboot.gz"))
                      or "boot.cfg" in v.files)
    if system is None:
        raise ImageProblem("a disk image holds no ESX", f"{label}: no partition Hypervisor1, and none with a kernel",
                           "name the ISO of an ESX 3.5 or 4 installer")
    pool = {n: p for n, p in system.files.items() if n != "boot.cfg" and _NAME.match(n)}
    loaders = _holding(volumes, "hypervisor0", lambda v: "mboot.c32" in v.files)
    if loaders is not None and "mboot.c32" in loaders.files:
        pool["mboot.c32"] = loaders.files["mboot.c32"]
    for name in FROM_ISO:
        found = iso.find(name)
        if found is not None and name not in pool and (name == "mboot.c32" or "vmkboot.gz" in pool):
            pool[name] = found
    if "mboot.c32" not in pool:
        raise ImageProblem("a disk image has no boot loader", f"{label}: no mboot.c32 on Hypervisor0", CORRUPT)
    own = _own_config(system)
    text = _config(pool, own, version, label)
    named = {*parse(text).files(), "mboot.c32"}
    files = {"boot.cfg": Piece("boot.cfg", data=text.encode()), **{n: p for n, p in pool.items() if n in named}}
    return Legacy(files, {n: p for n, p in pool.items() if n not in named}, parse(text).build)


def _holding(volumes: list[Volume], label: str, fits: Callable[[Volume], bool]) -> Volume | None:
    """The volume of that label, if it fits; else the first that fits."""
    fitting = [v for v in volumes if fits(v)]
    return next((v for v in fitting if v.label.lower() == label), fitting[0] if fitting else None)


def _own_config(system: Volume) -> BootCfg | None:
    """Hypervisor1's own boot.cfg, which its boot loader reads on disk; None where there is no usable one."""
    piece = system.files.get("boot.cfg")
    if piece is None or piece.size > 64 * 1024:
        return None
    try:
        return parse(b"".join(bytes(c) for c in piece.chunks()).decode("utf-8", "replace"))
    except BootCfgError:
        return None


def _config(pool: Mapping[str, Piece], own: BootCfg | None, version: str, label: str) -> str:
    """The boot.cfg that we write. Modules that only the disk's own boot.cfg names come last."""
    kernel, modules = _boot_order(pool, own, label)
    build = own.build if own is not None and own.build else version if _BUILD.match(version) else ""
    options = own.kernelopt if own is not None else ""
    lines = ["loader=legacy", f"title=ESX {build or version}".rstrip(), *([f"build={build}"] if build else []),
             f"kernel={kernel}", *([f"kernelopt={options}"] if options else []), f"modules={SEPARATOR.join(modules)}"]
    return "\n".join(lines) + "\n"


def _boot_order(pool: Mapping[str, Piece], own: BootCfg | None, label: str) -> tuple[str, list[str]]:
    """Kernel and modules. Raises ImageProblem that names what is missing."""
    named = [m.split()[0] for m in own.modules] if own is not None else []
    found = next((g for g in GENERATIONS if g.kernel in pool), None)
    if found is not None:
        kernel, order = found.kernel, (*found.order, *named)
        missing = [" or ".join(names) for names in found.required if not any(n in pool for n in names)]
    elif own is not None and own.kernel in pool:  # 4.1 has other names on disk than on its ISO
        kernel, order, missing = own.kernel, (*named, *GENERATIONS[0].order), []
    else:
        kernels = " nor ".join(g.kernel for g in GENERATIONS)
        raise ImageProblem("a disk image holds no ESX", f"{label}: neither {kernels} on Hypervisor1", CORRUPT)
    missing += [n for n in named if n not in pool and n not in OF_ONE_HOST and n not in missing]
    if missing:
        raise ImageProblem("modules of a disk image are missing", f"{label}: Hypervisor1 has no {', '.join(missing)}",
                           CORRUPT)
    return kernel, [n for n in dict.fromkeys(order) if n in pool and n not in OF_ONE_HOST and n != kernel]
