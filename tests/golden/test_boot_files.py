"""Every boot file that is rendered, for each loader. `GOLDEN=write pytest …` writes them anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from providers.boot.kickstart import render
from providers.midwife.standing import Way
from tests.unit.boot.tree_kit import FOLDER, MAC, Place, place

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


def test_kickstart(place: Place) -> None:
    """The script's archive, and the salt, are left out: the one changes with the payload, the other each time."""
    place.tree.kickstart = lambda standing, boot, ends: render(
        standing.way.install or {}, standing.mac, "x", boot.key, {"midwife": ends.birth, "birth": boot.nonce})
    place.stage("mboot", Way(once=True, install={"disk": "mpx.vmhba0:C0:T0:L0", "overwrite_vmfs": True}))
    compare("install.boot.cfg", place.text(NAMES["boot.cfg"]))
    standing = place.tree.standings.get(MAC)
    assert standing is not None
    assert standing.boot is not None
    text = place.text(f"{FOLDER}/{standing.boot.id}/ks.cfg")
    before, _, after = text.split('"""')
    compare("install.ks.cfg", re.sub(r"\$6\$\S+", "<hash>", f'{before}"""<archive>"""{after}'))
