"""The midwife as a service, end to end: the runner in one network, the midwife and machines with real firmware in
another, vCenter (the twin, over HTTPS) reachable from both.

Every machine's own SDK door is the machine's own port 443, with the certificate that its birth brought.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from providers.twin.house import PASSWORD as VCENTER_PASSWORD
from providers.twin.house import USER
from tests.support.netboot.births import deliver, replayed, signed
from tests.support.netboot.guest import variant
from tests.support.netboot.machine import Machine
from tests.support.netboot.site import LOADERS, PASSWORD
from tests.support.netboot.split import OLD, VCENTER, VMS, SplitSite, split_site
from tests.support.places import quick_folder
from tests.support.tools import need_namespaces

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STRANGER = "52:54:00:99:00:ee"
CONFIGURED = {"vSwitch0": 1500, "vSwitch1": 9000}


def of(machine: Machine, seen: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = seen[f"{machine.name}.lab.example"]
    return found


def is_up(machine: Machine, seen: dict[str, Any]) -> bool:
    host = of(machine, seen)
    return host["connection"] == "connected" and not host["maintenance"] and host["mtu"] == CONFIGURED


def refuse_what_is_false(site: SplitSite, machine: Machine, other: Machine) -> None:
    """A birth that is forged, one of a stranger, one with another's nonce, and the accepted one once more."""
    (record,), boot, pin = site.births(machine), site.standing(machine)["boot"], site.pin()
    key, now = bytes.fromhex(boot["key"]), time.time()
    posts = {
        "forged": signed(record, boot["nonce"], b"f" * 32, now),
        "stranger": signed(record, boot["nonce"], key, now, mac=STRANGER),
        "another's nonce": signed(record, boot["nonce"], key, now, mac=other.mac),
        "replayed": replayed(record, boot),
    }
    answers = {name: deliver(site.network, body, pin)[0] for name, body in posts.items()}
    assert answers == {"forged": 401, "stranger": 401, "another's nonce": 401, "replayed": 200}
    assert site.births(machine) == [record], "the replay had no effect"
    site.until("refusals are written down", lambda: len(site.refused()) == 3)
    assert [(line["mac"], line["reason"]) for line in site.refused()] == [
        (machine.mac, "its signature is wrong (forged)"), (STRANGER, "unknown MAC: nothing is staged for it"),
        (other.mac, "unknown nonce")]


def silent(site: SplitSite) -> None:
    """No secret is in what commands and services said, nor in the log of requests."""
    logs = [path.read_text() for path in (site.folder / "midwife.log", site.state / "boot/access.jsonl")]
    said = "".join(map(str, site.events)) + "".join(logs)
    for word in (PASSWORD, *(site.standing(each)["boot"][key] for each in site.machines for key in ("nonce", "key"))):
        assert word not in said


def test_a_runner_without_a_boot_network(guest: Path) -> None:
    """Applied from afar; false births refused; a host that is power-cycled while nobody applies anything."""
    need_namespaces()
    missing = [path for path in LOADERS if not Path(path).exists()]
    if missing:
        pytest.skip(f"boot loaders are not installed here: {', '.join(missing)}")
    with quick_folder() as folder:
        door = (f"twin=10.98.0.1:{VCENTER}", f"login={USER}:{VCENTER_PASSWORD}")
        images = {"esx8": variant(guest, folder / "esx8", "24022510", *door)}
        with split_site(images, folder, 2) as site:
            applied(site)


def applied(site: SplitSite) -> None:
    first, second = site.machines
    began = time.monotonic()
    site.apply()
    site.power_on(first, second)
    record = site.born(first)
    assert (record["uuid"], record["serial"], record["from"]) == (first.uuid, first.serial, first.address)
    refuse_what_is_false(site, first, second)
    site.born(second)
    site.finish()
    took = time.monotonic() - began

    seen = site.at_vcenter("maintenance", OLD)
    assert all(is_up(each, seen) for each in site.machines), seen
    assert {each.name: of(each, seen)["uuid"] for each in site.machines} == {each.name: each.uuid
                                                                             for each in site.machines}
    assert sorted(name for each in site.machines for name in of(each, seen)["vms"]) == sorted(VMS)
    site.fresh("another")
    site.run("plan", "fleet.yaml", "--detailed-exitcode")
    listed = site.run("births", "fleet.yaml", "--json").json
    assert sorted((each["mac"], each["image"], each["accepted"]) for each in listed["births"]) == [
        (first.mac, "", False), (first.mac, "esx8", True), (second.mac, "", False), (second.mac, "esx8", True),
        (STRANGER, "", False)]
    assert [each["mac"] for each in listed["unclaimed"]] == [STRANGER]
    silent(site)
    print(f"\n2 machines configured in {took:.0f} s:", *(f"{each.seconds:.0f} s {each.memory()} MB," for each in
                                                         site.machines))
