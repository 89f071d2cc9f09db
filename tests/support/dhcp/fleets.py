"""Fleets for DHCP: images of each kind as folders of small files, and what is rendered from them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from planner.cli.wiring import Source, installed, load
from planner.model import Fleet
from providers.boot import provider
from providers.boot.dhcp.command import rendered
from providers.boot.dhcp.survey import outlines
from providers.boot.images import Outline
from tests.support.tools import need

LOADERS = ("pxelinux.0", "undionly.kpxe", "snponly.efi")
MANY = Path(__file__).parents[2] / "golden" / "dhcp" / "many.yaml"
"""Images of every kind, two subnets, a range, a host without an image."""

_IMAGES = {
    "esx8": ("kernel=b.b00\nmodules=k.b00\n", {"mboot.efi": "eight", "mboot.c32": "c32"}),
    "esx67": ("kernel=b.b00\nmodules=k.b00\n", {"mboot.efi": "six", "mboot.c32": "c32"}),
    "esx41": ("loader=legacy\nkernel=vmkernel.gz\nmodules=sys.vgz\n", {"mboot.c32": "c32"}),
    "rescue": ("loader=linux\nkernel=vmlinuz\nmodules=initrd.img\n", {}),
}


def write_images(folder: Path) -> None:
    """One folder for each image, and `loaders/`."""
    for name, (cfg, more) in _IMAGES.items():
        place = folder / name
        place.mkdir(parents=True)
        (place / "boot.cfg").write_text(cfg)
        named = (word for line in cfg.splitlines() for word in [line.partition("=")[2]] if "loader" not in line)
        for file, text in {**dict.fromkeys(named, ""), **more}.items():
            (place / file).write_text(text)
    (folder / "loaders").mkdir()
    for file in LOADERS:
        (folder / "loaders" / file).touch()


def fleet_of(path: Path) -> Fleet:
    """Raises FleetError with what the fleet language itself refuses."""
    return load(installed(), Source(str(path)))


def place(folder: Path, text: str) -> Path:
    """A fleet file beside its images."""
    write_images(folder)
    path = folder / "fleet.yaml"
    path.write_text(text)
    return path


def choices_of(path: Path) -> tuple[Fleet, dict[str, Outline]]:
    """A fleet, and what its images are."""
    fleet = fleet_of(path)
    found, problems = outlines(fleet, provider.images(fleet.providers["boot"]))
    assert problems == []
    return fleet, found


def render(path: Path, server: str) -> str:
    return rendered(fleet_of(path), server)[0]


def dnsmasq_accepts(text: str, folder: Path) -> str:
    """What dnsmasq says of a configuration that it refuses; "" where it takes it."""
    path = folder / "dnsmasq.conf"
    path.write_text(text)
    done = subprocess.run([need("dnsmasq"), "--test", "-C", str(path)], capture_output=True, text=True, timeout=60,
                          check=False)
    return "" if done.returncode == 0 else done.stderr


def kea_accepts(text: str, folder: Path) -> str:
    """The same for Kea. It looks for the interface, which is another one here."""
    config = json.loads(text)
    config["Dhcp4"]["interfaces-config"]["interfaces"] = ["lo"]
    done = subprocess.run([need("kea-dhcp4"), "-t", str(kea_file(config, folder))], capture_output=True, text=True,
                          timeout=60, check=False, env={**os.environ, **kea_environment(folder)})
    return "" if done.returncode == 0 else done.stdout + done.stderr


def kea_file(config: dict[str, Any], folder: Path) -> Path:
    """With leases in memory only: the usual place of its lease file belongs to the machine."""
    config["Dhcp4"]["lease-database"] = {"type": "memfile", "persist": False}
    path = folder / "kea.json"
    path.write_text(json.dumps(config))
    return path


def kea_environment(folder: Path) -> dict[str, str]:
    return {"KEA_PIDFILE_DIR": str(folder), "KEA_LOCKFILE_DIR": str(folder)}
