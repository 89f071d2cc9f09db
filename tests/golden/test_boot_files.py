"""Every boot file that is rendered, for each loader. `pytest --golden` writes them anew where that exists."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.boot.tree_kit import FOLDER, Place, place

__all__ = ["place"]
HERE = Path(__file__).with_name("boot")
NAMES = {
    "boot.cfg": f"{FOLDER}/boot.cfg", "tftp-boot.cfg": f"{FOLDER}/tftp/boot.cfg",
    "boot.ipxe": f"{FOLDER}/boot.ipxe", "pxelinux": f"pxelinux.cfg/{FOLDER}",
}
CASES = [("mboot", name) for name in NAMES] + [(loader, name) for loader in ("legacy", "linux")
                                                for name in ("boot.ipxe", "pxelinux")]


def compare(name: str, text: str) -> None:
    path = HERE / name
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize(("loader", "name"), CASES)
def test_boot_file(place: Place, loader: str, name: str) -> None:
    place.stage(loader)
    compare(f"{loader}.{name}", place.text(NAMES[name]))


def test_root_script(place: Place) -> None:
    compare("root.boot.ipxe", place.text("boot.ipxe"))


def test_boot_files_that_lead_to_the_disk(place: Place) -> None:
    place.tree.kept = frozenset({"52:54:00:00:00:11"})
    compare("disk", "".join(f"--- {name}\n{place.text(path)}" for name, path in NAMES.items()))
