"""Scripted installation: the kickstart, what the installed system runs first, and how long a staging lives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from passlib.hash import sha512_crypt  # type: ignore[import-untyped]

from planner.model import Attrs, FleetError, SecretRef, StepFailed
from planner.ports import Call
from providers.boot import BootProvider
from providers.boot.kickstart import crypted, disk, first_boot_archive, render
from providers.boot.payload import message, post, thumbprint
from providers.boot.staging import build_number, shown, way_of
from providers.midwife.standing import Standing
from tests.unit.boot.kit import MACS, FakeHouse, Site, certificate, make_fleet, make_image, operations, site

MAC, FOLDER = MACS[0], "01-52-54-00-00-00-11"
PASSWORD = "first & only, straße"
INSTALLS: dict[str, Any] = {"disk": "first", "overwrite_vmfs": False, "datastore": True}


@pytest.mark.parametrize(("install", "words"), [
    ({"disk": "first"}, "--firstdisk --preservevmfs"),
    ({"disk": "firstdisk=local,usb", "overwrite_vmfs": True}, "--firstdisk=local,usb --overwritevmfs"),
    ({"disk": "mpx.vmhba0:C0:T0:L0", "datastore": False}, "--disk=mpx.vmhba0:C0:T0:L0 --preservevmfs --novmfsondisk"),
])
def test_which_disk(install: dict[str, Any], words: str) -> None:
    assert " ".join(disk(install)) == words


def test_the_password_is_a_salted_hash() -> None:
    one, two = crypted(PASSWORD), crypted(PASSWORD)
    assert one.startswith("$6$")
    assert one != two
    assert sha512_crypt.verify(PASSWORD, one)
    with pytest.raises(ValueError, match="NULL"):
        crypted("a\0b")
    with pytest.raises(ValueError, match="empty"):
        crypted("")


def test_builds() -> None:
    assert [build_number(t) for t in ("8.0.3-0.0.24022510", "8.0.3-24022510", "24022510", "", "8.0.3", "custom")] == [
        "24022510", "24022510", "24022510", "", "", ""]


def test_ways_and_words_lead_back() -> None:
    ways: list[dict[str, Any]] = [
        {"boots": None}, {"boots": "once"}, {"boots": "install", "installs": INSTALLS},
        {"boots": "disk", "installs": INSTALLS}, {"boots": "once", "agentless": True}]
    for after in ways:
        way, spent = way_of(after)
        found = shown(Standing(MAC, "d", "/", "g", 0.0, way=way, spent=spent))
        assert {k: v for k, v in found.items() if v is not None} == {
            "staged": "d", **{k: v for k, v in after.items() if v is not None}}
    wrongs: list[dict[str, Any]] = [{"boots": "twice"}, {"boots": "install"}, {"boots": "install", "installs": {}}]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="boots"):
            way_of(wrong)


def test_the_first_boot_announces_the_birth(tmp_path: Path) -> None:
    """Its script, run for real: it unpacks below its root, and starts the payload with what was staged."""
    options = {"midwife": "https://10.0.0.2", "midwife_spki": "5" * 64, "birth": "n" * 32, "BOOTIF": FOLDER}
    text = render(INSTALLS, MAC, PASSWORD, "ab" * 32, options).decode()
    head, script = text.split("%firstboot --interpreter=python\n")
    assert "n" * 32 not in head
    assert PASSWORD not in text
    root = tmp_path / "root"
    (root / "proc").mkdir(parents=True)
    (root / "proc" / "cmdline").write_text("BOOT_IMAGE=x")
    stub = script.replace('root = "/"', f"root = {str(root) + '/'!r}").replace("providers.boot.payload", "json.tool")
    subprocess.run([sys.executable, "-c", stub], check=True, timeout=60, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    assert (root / "etc/midwife/options").read_text().split() == [f"{k}={v}" for k, v in options.items()]
    assert (root / "etc/midwife/birth.key").read_text() == "ab" * 32
    assert (root / "etc/midwife/birth.key").stat().st_mode & 0o777 == 0o400
    assert (root / "opt/midwife/providers/boot/payload.py").exists()
    assert not (root / "etc/rc.local.d").exists()
    assert (root / "var/log/midwife.log").exists()


def test_an_agentless_installation_runs_nothing_of_ours() -> None:
    text = render(INSTALLS, MAC, PASSWORD, "ab" * 32, None).decode()
    assert "%firstboot" not in text
    assert "ab" * 32 not in text
    with pytest.raises(ValueError, match="no %firstboot"):
        first_boot_archive(text)


# --- through a session -----------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield declared(found, {"install": dict(INSTALLS), "initial_root_password": SecretRef("env:FIRST")})


def declared(found: Site, extra: Mapping[str, Any], secret: str | None = PASSWORD) -> Site:
    """The same site, whose first host declares more."""
    address = next(iter(found.fleet.resources))
    resource = found.fleet.resources[address]
    made = replace(resource, attributes={**resource.attributes, **extra})
    found.fleet = replace(found.fleet, resources={**found.fleet.resources, address: made})

    def resolve(reference: SecretRef) -> str:
        assert reference == SecretRef("env:FIRST")
        if secret is None:
            raise StepFailed("a secret cannot be read", str(reference))
        return secret

    found.boot._context = replace(found.boot._context, fleet=found.fleet, secret=resolve)
    return found


def stage(found: Site, **after: Any) -> Call:
    base = found.call(MAC)
    call = replace(base, before={"staged": None}, after={"staged": found.digest, **after},
                   declared=next(iter(found.fleet.resources.values())).attributes)
    found.boot.run(operations()["boot.stage"], call)
    return call


def get(found: Site, path: str) -> bytes:
    with urllib.request.urlopen(path if "://" in path else f"{found.endpoints[1]}/{path}", timeout=10) as reply:
        data: bytes = reply.read()
        return data


def fetched(found: Site) -> dict[str, str]:
    """The whole image, as a machine takes it; the kernel's options."""
    lines = dict(line.split("=", 1) for line in get(found, f"{FOLDER}/boot.cfg").decode().splitlines())
    for module in lines["modules"].split(" --- "):
        name = module.split()[0]
        get(found, name if "://" in name else f"{lines['prefix']}/{name}")
    return dict(word.split("=", 1) for word in lines["kernelopt"].split() if "=" in word)


def born(found: Site, options: Mapping[str, str], key: bytes, build: str = "24022510") -> int:
    pem = certificate("esx01")
    facts = {"mac": MAC, "uuid": "00000000-0000-4000-8000-525400000011", "serial": "S1", "address": "10.0.0.9",
             "version": f"VMware ESXi 8.0.3 build-{build}", "certificate": pem, "thumbprint": thumbprint(pem)}
    return post(options["midwife"], options["midwife_spki"],
                message(facts, options["birth"], key, found.clock.now()))[0]


def of_kickstart(text: bytes) -> tuple[dict[str, str], bytes]:
    """Options and key that an installed system finds at its first boot."""
    with tarfile.open(fileobj=BytesIO(first_boot_archive(text.decode()))) as files:
        options, key = files.extractfile("etc/midwife/options"), files.extractfile("etc/midwife/birth.key")
        assert options is not None
        assert key is not None
        return dict(w.split("=", 1) for w in options.read().decode().split()), bytes.fromhex(key.read().decode())


def test_installed_booted_from_its_disk_and_born(here: Site) -> None:
    call = stage(here, boots="install", installs=INSTALLS)
    assert here.boot.observe(operations()["boot.stage"], call) == {
        "staged": here.digest, "boots": "install", "installs": INSTALLS}
    options = fetched(here)
    text = get(here, options["ks"])
    assert f"network --bootproto=dhcp --device={MAC}\n".encode() in text
    assert sha512_crypt.verify(PASSWORD, text.decode().split("rootpw --iscrypted ")[1].split()[0])
    assert get(here, options["ks"]) != text, "a new salt each time"
    assert b"skip=1" in get(here, f"{FOLDER}/boot.cfg"), "its own reboot goes to the disk"
    first, key = of_kickstart(text)
    assert first["birth"] == options["birth"]
    assert first["BOOTIF"] == FOLDER
    here.clock.offset = 5400.0  # slow hardware: the nonce of an installation lives longer
    assert born(here, first, key) == 201
    facts = here.boot.run(operations()["install.wait"], replace(call, after={"disk": "first"},
                                                               deadline=here.clock.now() + 5))
    assert facts["image"] == here.digest
    here.boot.run(operations()["boot.unstage"], call)
    for path in (f"{FOLDER}/{Path(options['ks']).parent.name}/ks.cfg", f"{FOLDER}/mboot.efi"):
        with pytest.raises(urllib.error.HTTPError):
            get(here, path)


def test_nothing_secret_is_written(here: Site) -> None:
    stage(here, boots="install", installs=INSTALLS)
    text = get(here, fetched(here)["ks"]).decode()
    hashed = text.split("rootpw --iscrypted ")[1].split()[0]
    for path in (p for p in here.folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        assert hashed.encode() not in data
        assert PASSWORD.encode() not in data
    assert not [line for line in (*here.said, *here.reports) if hashed in line or PASSWORD in line]


def test_a_kickstart_is_only_for_the_newest_boot_of_an_installation(here: Site) -> None:
    stage(here, boots="install", installs=INSTALLS)
    lines = get(here, f"{FOLDER}/boot.cfg").decode()
    old = next(w for w in lines.split() if w.startswith("ks=")).removeprefix("ks=")
    get(here, f"{FOLDER}/boot.cfg")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(here, old)
    stage(here)
    again = get(here, f"{FOLDER}/boot.cfg").decode()
    assert "ks=" not in again
    assert "runweasel" not in again
    boot = here.boot.standings.get(MAC)
    assert boot is not None
    assert boot.boot is not None
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(here, f"{FOLDER}/{boot.boot.id}/ks.cfg")


@pytest.mark.parametrize(("extra", "secret"), [({"initial_root_password": None}, PASSWORD), ({}, None), ({}, "")])
def test_a_kickstart_without_a_password_is_not_served(here: Site, extra: Attrs, secret: str | None) -> None:
    declared(here, extra, secret)
    stage(here, boots="install", installs=INSTALLS)
    options = fetched(here)
    with pytest.raises(urllib.error.HTTPError, match="410"):
        get(here, options["ks"])
    assert any("its kickstart cannot be made: initial_root_password" in line for line in here.said)


def test_a_restart_installs_again_and_the_way_back_boots_the_disk(here: Site) -> None:
    call = stage(here, boots="install", installs=INSTALLS)
    fetched(here)
    assert b"skip=1" in get(here, f"{FOLDER}/boot.cfg")
    here.boot.expect(MAC, again=False)  # a person presses the button
    assert b"skip=1" in get(here, f"{FOLDER}/boot.cfg")
    here.boot.expect(MAC)  # resumed: staged and restarted
    assert "ks" in fetched(here)
    here.boot.run(operations()["boot.unstage"], call)
    spent: dict[str, Any] = {"staged": here.digest, "boots": "disk"}
    stage(here, boots="disk")
    assert here.boot.observe(operations()["boot.unstage"], replace(call, before=spent, after={})) == spent
    assert b"skip=1" in get(here, f"{FOLDER}/boot.cfg")


def test_a_spent_staging_survives_the_process(tmp_path: Path) -> None:
    with site(tmp_path) as first:
        stage(first, boots="once")
        fetched(first)
    with site(tmp_path) as second:
        assert b"skip=1" in get(second, f"{FOLDER}/boot.cfg")
        stage(second, boots="once")
        assert b"birth=" in get(second, f"{FOLDER}/boot.cfg")


def test_only_images_with_an_installer_are_installed(tmp_path: Path) -> None:
    text = "loader=linux\nkernel=b.b00\nmodules=jumpstrt.gz\n"
    with site(tmp_path, image=make_image(tmp_path / "linux", boot_cfg=text)) as found, \
            pytest.raises(StepFailed, match="its loader is linux"):
        stage(found, boots="install", installs=INSTALLS)


def test_a_machine_that_runs_another_build_is_stopped(tmp_path: Path) -> None:
    with site(tmp_path, house=FakeHouse()) as found:
        call = stage(found)
        options = fetched(found)
        standing = found.boot.standings.get(MAC)
        assert standing is not None
        assert standing.boot is not None
        assert born(found, options, bytes.fromhex(standing.boot.key), build="99") == 201
        with pytest.raises(StepFailed, match=r"born as build 99; image .* is build 24022510"):
            found.boot.run(operations()["birth.wait"], call)


def test_a_birth_from_an_older_boot_is_refused(tmp_path: Path) -> None:
    with site(tmp_path) as found:
        stage(found)
        options = fetched(found)
        standing = found.boot.standings.get(MAC)
        assert standing is not None
        assert standing.boot is not None
        fetched(found)
        assert born(found, options, bytes.fromhex(standing.boot.key)) == 401
        assert "superseded" in json.dumps(found.boot.inbox.refused())


@pytest.mark.parametrize(("loader", "declared", "said"), [
    ("linux", {"install": {"disk": "first"}}, "error: this image cannot be installed by a script"),
    ("legacy", {}, "warning: this image has no Python that could announce a birth"),
    ("legacy", {"birth": "agentless"}, ""), ("mboot", {"install": {"disk": "first"}}, ""), ("linux", {}, "")])
def test_what_an_image_cannot_do_is_known_before_apply(tmp_path: Path, loader: str, declared: dict[str, Any],
                                                       said: str) -> None:
    folder = make_image(tmp_path / "image", boot_cfg=f"loader={loader}\nkernel=b.b00\nmodules=jumpstrt.gz\n")
    fleet = make_fleet(folder, (MAC,))
    address, resource = next(iter(fleet.resources.items()))
    fleet = replace(fleet, resources={address: replace(resource, attributes={**resource.attributes, **declared})})
    provider = BootProvider()
    try:
        provider.image_digests(fleet)
        found = list(provider.problems(fleet))
    except FleetError as error:
        found = list(error.diagnostics)
    assert [f"{each.severity}: {each.summary}" for each in found] == ([said] if said else [])
