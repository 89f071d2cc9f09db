"""A boot tree without servers: one image of each loader, fixed nonces, everything in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from planner.model import Image
from providers.boot.images import Images, Manifest
from providers.boot.modules import Kind, midwife_module
from providers.boot.trail import Trail
from providers.boot.tree import BootTree, Endpoints
from providers.midwife.desk import Desk
from providers.midwife.inbox import Inbox
from providers.midwife.standing import EVERY_BOOT, Standing, Standings, Way

MAC, FOLDER = "52:54:00:00:00:11", "01-52-54-00-00-00-11"
SPKI = "5" * 64
HTTP = "http://10.0.0.2:8080"

BOOT_CFG = {
    "mboot": "title=ESXi\ntimeout=5\nkernel=/b.b00\nkernelopt=runweasel cdromBoot ignoreHeadless=TRUE\n"
             "modules=/k.b00 --- /s.v00 arg=1\nbuild=8.0.3-0.0.24022510\n",
    "legacy": "loader=legacy\nkernel=vmkernel.gz\nkernelopt=vga=0\nmodules=binmod.tgz --- license.tgz\n",
    "linux": "loader=linux\nkernel=vmlinuz\nkernelopt=console=ttyS0 panic=-1\nmodules=initrd.img --- more.img\n",
}
FILES = {
    "mboot": ("b.b00", "k.b00", "s.v00", "mboot.efi", "mboot.c32"),
    "legacy": ("vmkernel.gz", "binmod.tgz", "license.tgz", "mboot.c32"),
    "linux": ("vmlinuz", "initrd.img", "more.img"),
}


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Place:
    tree: BootTree
    manifests: dict[str, Manifest]
    said: list[str]
    clock: Clock

    def stage(self, loader: str, way: Way = EVERY_BOOT, mac: str = MAC) -> Standing:
        manifest = self.manifests[loader]
        self.tree.manifests[manifest.digest] = manifest
        return self.tree.desk.stage(mac, manifest.digest, str(manifest.folder), manifest.cfg.build, "", way)

    def fetch(self, name: str, client: str = "10.0.0.9") -> bytes | None:
        """What a machine gets; all of it."""
        content = self.tree.find(name, client)
        if content is None:
            return None
        with content.open() as file:
            data = file.read()
        assert len(data) == content.size
        content.done()
        return data

    def text(self, name: str) -> str:
        """The same, with what differs from run to run replaced by its name."""
        data = self.fetch(name)
        assert data is not None, name
        text = data.decode()
        standing = self.tree.standings.get(MAC)
        if standing is not None:
            text = text.replace(standing.image, "<digest>")
            if standing.boot is not None:
                text = text.replace(standing.boot.nonce, "<nonce>").replace(standing.boot.id, "<boot>")
        for module in self.tree.midwife.values():
            text = text.replace(module.name, module.name.replace(module.name[8:24], "<payload>"))
        return text


def make_images(folder: Path) -> dict[str, Manifest]:
    made = {}
    for loader, text in BOOT_CFG.items():
        place = folder / loader
        place.mkdir(parents=True)
        (place / "boot.cfg").write_text(text)
        for name in FILES[loader]:
            (place / name).write_bytes(f"{loader} {name}\n".encode() * 50)
        made[loader] = Images().manifest(Image(loader, str(place)))
    return made


def make_place(folder: Path, *, loaders: Path | None = None, kept: frozenset[str] = frozenset()) -> Place:
    clock, said = Clock(), list[str]()
    trail = Trail(None, {MAC: 'host.esx["esx01"]'}, clock.now, said.append)
    standings = Standings(None)
    desk = Desk(standings, Inbox(None), clock, trail.note)
    kinds: tuple[Kind, ...] = ("tgz", "cpio")
    tree = BootTree(standings, desk, trail, Endpoints(HTTP, "https://10.0.0.2", SPKI),
                    {kind: midwife_module(kind) for kind in kinds}, loaders=loaders, kept=kept)
    return Place(tree, make_images(folder), said, clock)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


def staged_again(place: Place) -> None:
    """As if the run had been killed and resumed: the boot stays, what was only in memory is gone."""
    place.tree = replace(place.tree, _kernels=set())
