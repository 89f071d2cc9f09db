"""A staging that is over, with real firmware: iPXE and pxelinux read what the tree serves, and leave for the disk."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.tools import need
from tests.unit.boot.tree_kit import FOLDER, MAC, make_place

SECONDS = 120.0
PXELINUX = ("/usr/lib/PXELINUX/pxelinux.0", "/usr/lib/syslinux/modules/bios/ldlinux.c32")
PRINTS = bytes.fromhex("fafc31c08ed8be407cac84c07406baf803eeebf5f4ebfd")  # a boot sector: a text to COM1, and halt
TEXT = b"THE DISK BOOTS\r\n\0"


def files(folder: Path) -> None:
    """What TFTP would serve to a host with a disk for which nothing is staged, laid down for qemu's own server."""
    place = make_place(folder.parent / "images", kept=frozenset({MAC}))
    for name in ("boot.ipxe", f"{FOLDER}/boot.ipxe", f"pxelinux.cfg/{FOLDER}"):
        data = place.fetch(name)
        assert data is not None
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("bootfile", ["boot.ipxe", "pxelinux.0"])
def test_a_host_with_a_disk_boots_it_by_way_of_the_network(tmp_path: Path, bootfile: str) -> None:
    qemu = need("qemu-system-x86_64")
    tree = tmp_path / "tftp"
    files(tree)
    if bootfile == "pxelinux.0":
        for path in map(Path, PXELINUX):
            if not path.exists():
                pytest.skip(f"not installed here: {path}")
            shutil.copy(path, tree)
    disk, console = tmp_path / "disk.img", tmp_path / "console"
    disk.write_bytes((PRINTS.ljust(0x40, b"\0") + TEXT).ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    command = (qemu, "-machine", "pc", "-m", "128", "-display", "none", "-monitor", "none", "-serial",
               f"file:{console}", "-drive", f"file={disk},format=raw,if=ide", "-boot", "order=nc", "-netdev",
               f"user,id=n0,ipv6=off,tftp={tree},bootfile={bootfile}", "-device", f"virtio-net-pci,netdev=n0,mac={MAC}")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as machine:
        try:
            end = time.monotonic() + SECONDS
            while TEXT.strip(b"\r\n\0") not in _read(console):
                assert machine.poll() is None, "qemu ended"
                assert time.monotonic() < end, _read(console)[-500:]
                time.sleep(0.2)
        finally:
            machine.terminate()


def _read(path: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return b""
