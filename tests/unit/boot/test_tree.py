"""The tree of boot files: names, what mints a nonce, what is spent, and what is nobody's."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from providers.boot.tree import Forbidden
from providers.midwife.standing import Way
from tests.unit.boot.tree_kit import FOLDER, HTTP, MAC, Place, make_place, place

__all__ = ["place"]
ONCE = Way(once=True)


def boot(place: Place) -> str:
    standing = place.tree.standings.get(MAC)
    assert standing is not None
    assert standing.boot is not None
    return standing.boot.id


@pytest.mark.parametrize(("loader", "name"), [
    ("mboot", f"{FOLDER}/boot.cfg"), ("mboot", f"{FOLDER}/tftp/boot.cfg"),
    ("legacy", f"{FOLDER}/boot.ipxe"), ("legacy", f"pxelinux.cfg/{FOLDER}"),
    ("linux", f"{FOLDER}/boot.ipxe"), ("linux", f"pxelinux.cfg/{FOLDER}")])
def test_the_file_that_carries_the_nonce_mints_it(place: Place, loader: str, name: str) -> None:
    place.stage(loader)
    first = place.fetch(name)
    assert first is not None
    assert b"birth=" in first
    before = boot(place)
    assert place.fetch(name) != first
    assert boot(place) != before
    assert place.said == ['host.esx["esx01"]: boot configuration fetched again by 10.0.0.9; '
                          "the earlier nonce is void"]
    assert place.tree.find(name, "10.0.0.9", peek=True) is not None
    assert place.fetch(f"{FOLDER}/{before}/birth.tgz") is None


@pytest.mark.parametrize("name", [f"{FOLDER}/boot.ipxe", f"pxelinux.cfg/{FOLDER}"])
def test_what_only_leads_to_boot_cfg_mints_nothing(place: Place, name: str) -> None:
    place.stage("mboot")
    text = place.fetch(name)
    assert text is not None
    assert b"birth=" not in text
    standing = place.tree.standings.get(MAC)
    assert standing is not None
    assert standing.boot is None


def test_a_peek_has_the_size_of_the_file_and_mints_nothing(place: Place) -> None:
    place.stage("linux")
    peeked = place.tree.find(f"{FOLDER}/boot.ipxe", "10.0.0.9", peek=True)
    assert peeked is not None
    standing = place.tree.standings.get(MAC)
    assert standing is not None
    assert standing.boot is None
    assert peeked.size == len(place.fetch(f"{FOLDER}/boot.ipxe") or b"")


def test_every_file_of_a_boot_is_in_its_own_folder_and_in_the_shared_one(place: Place) -> None:
    place.stage("linux")
    script = place.text(f"pxelinux.cfg/{FOLDER}")
    assert f"KERNEL {FOLDER}/<boot>/vmlinuz" in script
    digest = place.manifests["linux"].digest
    for name in ("vmlinuz", "initrd.img", "more.img"):
        own = place.fetch(f"{FOLDER}/{boot(place)}/{name}")
        assert own == f"linux {name}\n".encode() * 50 == place.fetch(f"images/{digest}/{name}")
        assert place.fetch(f"{FOLDER}/images/{digest}/{name}") == own  # relative to a loader in the machine's folder
    midwife = place.tree.midwife["cpio"]
    assert place.fetch(f"{FOLDER}/{boot(place)}/{midwife.name}") == midwife.content
    assert place.fetch(f"modules/{midwife.name}") == midwife.content
    key = gzip.decompress(place.fetch(f"{FOLDER}/{boot(place)}/birth.cpio.gz") or b"")
    standing = place.tree.standings.get(MAC)
    assert standing is not None
    assert standing.boot is not None
    assert standing.boot.key.encode() in key
    assert b"etc/midwife/birth.key" in key
    assert place.fetch(f"{FOLDER}/{boot(place)}/birth.tgz") is None  # Linux takes cpio


def test_a_loader_without_http_may_ask_for_whole_urls(place: Place) -> None:
    place.stage("mboot")
    digest = place.manifests["mboot"].digest
    assert place.fetch(f"{HTTP}/images/{digest}/b.b00") == place.fetch(f"images/{digest}/b.b00")
    assert place.fetch(f"http://elsewhere/images/{digest}/b.b00") is None


@pytest.mark.parametrize(("loader", "name"), [
    ("mboot", "boot.cfg"), ("legacy", "boot.ipxe"), ("linux", "boot.ipxe"), ("linux", "pxelinux.cfg")])
def test_a_staging_for_one_boot_is_spent_when_the_image_is_handed_over(place: Place, loader: str, name: str) -> None:
    place.stage(loader, ONCE)
    path = f"pxelinux.cfg/{FOLDER}" if name == "pxelinux.cfg" else f"{FOLDER}/{name}"
    local = {"boot.cfg": b"skip=1", "boot.ipxe": b"exit", "pxelinux.cfg": b"LOCALBOOT"}[name]
    birth = "birth.cpio.gz" if loader == "linux" else "birth.tgz"
    place.fetch(path)
    broken = place.tree.find(f"{FOLDER}/{boot(place)}/{birth}", "10.0.0.9")
    assert broken is not None  # its transfer never ends, so that `done` is not called
    assert local not in (place.fetch(path) or b""), "a machine whose transfer broke may fetch again"
    if name == "pxelinux.cfg":
        place.fetch(f"{FOLDER}/{boot(place)}/vmlinuz")
    last = boot(place)
    place.fetch(f"{FOLDER}/{last}/{birth}")
    assert local in (place.fetch(path) or b"")
    assert boot(place) == last, "the nonce of the boot that was handed over stays good"
    if loader == "mboot":
        assert place.fetch(f"{FOLDER}/mboot.efi") is None
    place.tree.desk.expect(MAC)
    assert local not in (place.fetch(path) or b""), "restarted by us: it boots the image again"


def test_a_size_check_of_all_files_hands_nothing_over(place: Place) -> None:
    """mboot.c32 opens every module for its size before it loads the first (esx-boot, get_load_size_hint)."""
    place.stage("mboot", ONCE)
    place.fetch(f"{FOLDER}/tftp/boot.cfg")
    place.fetch(f"{FOLDER}/{boot(place)}/birth.tgz")
    assert b"birth=" in (place.fetch(f"{FOLDER}/tftp/boot.cfg") or b"")
    for name in ("b.b00", "k.b00", "s.v00", "birth.tgz"):
        assert place.fetch(f"{FOLDER}/{boot(place)}/{name}")
    assert place.fetch(f"{FOLDER}/tftp/boot.cfg") == place.fetch(f"{FOLDER}/boot.cfg")


def test_a_stateless_host_boots_its_image_every_time(place: Place) -> None:
    place.stage("mboot")
    for _ in range(3):
        assert b"birth=" in (place.fetch(f"{FOLDER}/boot.cfg") or b"")
        place.fetch(f"{FOLDER}/{boot(place)}/birth.tgz")


def test_an_agentless_boot_carries_nothing_of_ours(place: Place) -> None:
    place.stage("mboot", Way(once=True, agentless=True))
    text = place.text(f"{FOLDER}/boot.cfg")
    assert f"prefix={HTTP}/{FOLDER}/<boot>\n" in text
    assert "modules=k.b00 --- s.v00 arg=1\n" in text
    assert "birth" not in text
    assert place.fetch(f"{FOLDER}/{boot(place)}/birth.tgz") is None
    place.fetch(f"{FOLDER}/{boot(place)}/k.b00")
    assert "image handed over at" not in place.tree.trail.reason(MAC)
    place.fetch(f"{FOLDER}/{boot(place)}/s.v00")
    assert "image handed over at" in place.tree.trail.reason(MAC)
    assert b"skip=1" in (place.fetch(f"{FOLDER}/boot.cfg") or b"")


@pytest.mark.parametrize("loader", ["legacy", "linux"])
def test_an_agentless_boot_by_ipxe_is_recognised_too(place: Place, loader: str) -> None:
    place.stage(loader, Way(agentless=True))
    text = place.text(f"{FOLDER}/boot.ipxe")
    assert "birth" not in text
    urls = [word for line in text.splitlines() for word in line.split() if word.startswith(f"{HTTP}/{FOLDER}/<boot>/")]
    assert len(urls) >= 2
    for url in urls:
        assert "image handed over at" not in place.tree.trail.reason(MAC)
        assert place.fetch(url.removeprefix(f"{HTTP}/").replace("<boot>", boot(place)))
    assert place.tree.trail.handed_to(MAC)[0] == boot(place)


def test_hosts_with_a_disk_boot_it_while_nothing_is_staged(tmp_path: Path) -> None:
    there = make_place(tmp_path, kept=frozenset({MAC}))
    assert b"LOCALBOOT" in (there.fetch(f"pxelinux.cfg/{FOLDER}") or b"")
    assert b"exit" in (there.fetch(f"{FOLDER}/boot.ipxe") or b"")
    assert there.fetch(f"{FOLDER}/mboot.efi") is None
    assert there.fetch("pxelinux.cfg/01-52-54-00-00-00-99") is None


def test_loaders_are_served_by_name_and_nothing_beside_them(tmp_path: Path) -> None:
    folder, secret = tmp_path / "loaders", tmp_path / "secret"
    (folder / "efi").mkdir(parents=True)
    (folder / "pxelinux.0").write_bytes(b"pxelinux")
    (folder / "efi" / "snponly.efi").write_bytes(b"snponly")
    secret.write_bytes(b"secret")
    (folder / "link").symlink_to(secret)
    (folder / "again").symlink_to(folder / "pxelinux.0")
    there = make_place(tmp_path / "images", loaders=folder)
    assert there.fetch("pxelinux.0") == b"pxelinux" == there.fetch("again")
    assert there.fetch(f"{FOLDER}/pxelinux.0") == b"pxelinux"
    assert there.fetch("efi/snponly.efi") == b"snponly"
    assert [there.fetch(name) for name in ("link", "efi", "", "nothing")] == [None] * 4
    with pytest.raises(Forbidden):
        there.fetch("../secret")
    there.stage("mboot")
    assert there.fetch("mboot.efi") == b"mboot mboot.efi\n" * 50
    (folder / "mboot.efi").write_bytes(b"newer")
    assert there.fetch("mboot.efi") == b"newer"


def test_a_machine_that_nobody_knows_gets_only_what_all_may_have(place: Place) -> None:
    place.stage("mboot")
    stranger = "01-52-54-00-00-00-99"
    for name in ("boot.cfg", "boot.ipxe", "tftp/boot.cfg", f"{'0' * 16}/birth.tgz", "mboot.efi"):
        assert place.fetch(f"{stranger}/{name}") is None
    assert place.fetch("boot.ipxe")
    assert place.fetch(f"{FOLDER}/{'0' * 16}/birth.tgz") is None
