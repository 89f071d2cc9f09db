"""Fake installer ISOs of every ESX generation, made with the tools that real ones are made with.

Contents are random: a file that comes out right has come out of the right place.
"""

from __future__ import annotations

import random
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.tools import need

MODERN_CFG = """bootstate=0
title=Loading ESXi installer
timeout=5
prefix=
kernel=/{kernel}
kernelopt=runweasel cdromBoot
modules=/{modules}
build={build}
updated=0
"""
ESX35 = {"kernel": "vmkernel.gz", "modules": ("binmod.tgz", "environ.tgz", "cim.tgz", "oem.tgz", "license.tgz")}
SECTOR = 512


@dataclass(frozen=True, slots=True)
class FakeIso:
    """`expected`: what staging it must give, byte for byte, a boot.cfg that fleet writes aside."""

    path: Path
    expected: Mapping[str, bytes]


def contents(names: tuple[str, ...], seed: int, size: int = 5000) -> dict[str, bytes]:
    """Unique bytes for each name, of uneven sizes."""
    chance = random.Random(seed)
    return {name: chance.randbytes(size + chance.randrange(size)) for name in names}


def write_tree(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def make_iso(tree: Path, iso: Path, style: str) -> Path:
    """`style`: rock (Rock Ridge), joliet, plain (upper-case 8.3 names only), xorriso (Rock Ridge of another maker)."""
    options = {"rock": ("-R",), "joliet": ("-J",), "plain": ("-iso-level", "1"), "xorriso": ("-R", "-J")}[style]
    maker = (need("xorriso"), "-as", "mkisofs") if style == "xorriso" else (need("genisoimage"),)
    run(*maker, "-quiet", "-V", "ESXI", *options, "-o", str(iso), str(tree))
    return iso


def modern(folder: Path, *, style: str = "rock", build: str = "8.0.3-0.0.24022510", uefi: bool = True,
           bios: bool = True, crypto: bool = True, seed: int = 1, size: int = 5000) -> FakeIso:
    """ESXi 5 to 9: boot.cfg, its modules, and the boot loaders of UEFI and BIOS."""
    names = ("jumpstrt.gz", "useropts.gz", "features.gz", "k.b00", "s.v00", "imgdb.tgz")
    files = contents(("b.b00", *names), seed, size)
    cfg = MODERN_CFG.format(kernel="b.b00", modules=" --- /".join(names), build=build).encode()
    loaders = contents((*(("efi/boot/bootx64.efi",) if uefi else ()), *(("mboot.c32",) if bios else ()),
                        *(("efi/boot/crypto64.efi",) if crypto else ())), seed + 1)
    others = contents(("isolinux.bin", "upgrade/metadat.zip", "efi/boot/boot.cfg", "readme.txt"), seed + 2)
    tree = write_tree(folder / "tree", {"boot.cfg": cfg, **files, **loaders, **others})
    served = {"efi/boot/bootx64.efi": "mboot.efi", "efi/boot/crypto64.efi": "crypto64.efi"}
    return FakeIso(make_iso(tree, folder / "esxi.iso", style),
                   {"boot.cfg": cfg, **files, **{served.get(n, n): d for n, d in loaders.items()}})


def disk_image(path: Path, volumes: Mapping[str, Mapping[str, bytes]]) -> Path:
    """A disk like those of ESX 3.5 and 4: Hypervisor0 is partition 4, the others are logical, from 5 on."""
    mkfs, mcopy, sfdisk = need("mkfs.vfat"), need("mcopy"), need("sfdisk")
    first = 8192
    starts = {"Hypervisor0": 32}
    lines = ["label: dos", "4 : start=32, size=8000, type=4, bootable"]
    logical = [name for name in volumes if name != "Hypervisor0"]
    size = 16 * 1024 * 1024 // SECTOR
    lines.insert(1, f"1 : start={first}, size={(size + 64) * len(logical)}, type=5")
    for number, name in enumerate(logical):
        starts[name] = first + number * (size + 64) + 32
        lines.append(f"{5 + number} : start={starts[name]}, size={size}, type=6")
    with path.open("wb") as file:
        file.truncate((first + (size + 64) * len(logical)) * SECTOR)
    run(sfdisk, "-q", "--no-reread", "--no-tell-kernel", str(path), text="\n".join(lines))
    for name, files in volumes.items():
        sectors = 8000 if name == "Hypervisor0" else size
        run(mkfs, "-n", name.upper(), "--offset", str(starts[name]), str(path), str(sectors * SECTOR // 1024))
        tree = write_tree(path.parent / f"{path.name}-{name}", files)
        if files:
            run(mcopy, "-i", f"{path}@@{starts[name] * SECTOR}", *(str(tree / n) for n in files), "::")
    return path


def esx35(folder: Path, *, style: str = "rock", seed: int = 35, system: Mapping[str, bytes] | None = None) -> FakeIso:
    """install.tgz → VMware-VMvisor-big-3.5.0-….i386.dd.bz2 → Hypervisor0 and Hypervisor1."""
    files = dict(system or contents(("vmkernel.gz", *ESX35["modules"]), seed, 40_000))
    return _archived(folder, "install.tgz", "VMware-VMvisor-big-3.5.0-110271.i386.dd.bz2", files, style, seed)


def esx40(folder: Path, *, style: str = "rock", seed: int = 40) -> FakeIso:
    """image.tgz → VMware-VMvisor-big-4.0.0-…-x86_64.dd.bz2."""
    files = contents(("vmkboot.gz", "vmkernel.gz", "sys.vgz", "cim.vgz", "oem.tgz", "license.tgz"), seed, 40_000)
    return _archived(folder, "image.tgz", "VMware-VMvisor-big-4.0.0-208167-x86_64.dd.bz2", files, style, seed)


def _archived(folder: Path, archive: str, member: str, system: dict[str, bytes], style: str, seed: int) -> FakeIso:
    loader = contents(("mboot.c32",), seed + 1)
    decoy = contents(tuple(system), seed + 2)  # the other system partition is empty or older on real disks
    folder.mkdir(exist_ok=True)
    disk = disk_image(folder / "disk.dd", {"Hypervisor0": {**loader, "syslinux.cfg": b"default mboot.c32\n"},
                                           "Hypervisor2": decoy, "Hypervisor1": system})
    packed = folder / member
    packed.write_bytes(bzip2(disk))
    tree = folder / "tree"
    tree.mkdir()
    with tarfile.open(tree / archive, "w:gz") as tar:
        tar.add(__file__, "etc/before.txt")
        tar.add(packed, f"usr/lib/vmware/installer/{member}")
    write_tree(tree, contents(("isolinux.bin", "vmkernel.gz"), seed + 3))
    return FakeIso(make_iso(tree, folder / "esx.iso", style), {**system, **loader})


def esx41(folder: Path, *, style: str = "rock", seed: int = 41, own_names: bool = False) -> FakeIso:
    """imagedd.bz2 on the ISO. `own_names`: the disk has the short names that its own boot.cfg lists."""
    names = ("b.z", "k.z", "s.z", "c.z", "oem.tgz", "license.tgz", "state.tgz") if own_names else (
        "vmkboot.gz", "vmkernel.gz", "sys.vgz", "cim.vgz", "mod.tgz")
    system = contents(names, seed, 40_000)
    extra = {"boot.cfg": b"kernel=b.z\nkernelopt=\nmodules=k.z --- s.z --- c.z --- oem.tgz --- license.tgz --- "
                         b"state.tgz\nbuild=4.1.0-260247\nupdated=1\nbootstate=0\n"} if own_names else {}
    loader = contents(("mboot.c32",), seed + 1)
    installer = contents(("ienviron.vgz", "install.vgz"), seed + 2)
    disk = disk_image(folder / "disk.dd", {"Hypervisor0": loader, "Hypervisor1": {**system, **extra}})
    tree = write_tree(folder / "tree", {"imagedd.bz2": bzip2(disk), **installer, **contents(("isolinux.cfg",), seed)})
    expected = {**{n: d for n, d in system.items() if n != "state.tgz"}, **loader, **({} if own_names else installer)}
    return FakeIso(make_iso(tree, folder / "esx.iso", style), expected)


def bzip2(path: Path) -> bytes:
    return subprocess.run([need("bzip2"), "-c", str(path)], capture_output=True, check=True).stdout


def run(*command: str, text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
