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
    assert not site.births(other), "it must still be waited for"
    site.until("refusals are written down", lambda: len(site.refused()) == 3)
    assert [(line["mac"], line["reason"]) for line in site.refused()] == [
        (machine.mac, "its signature is wrong (forged)"), (STRANGER, "unknown MAC: nothing is staged for it"),
        (other.mac, "unknown nonce")]


def silent(site: SplitSite) -> None:
    """No secret is in what commands and services said, nor in the log of requests."""
    logs = [path.read_text() for path in (site.folder / "midwife.log", site.state / "boot/access.jsonl")]
    said = "".join(map(str, site.events)) + "".join(logs)
    boots = [boot for each in site.machines if (boot := site.standing(each)["boot"])]  # none after a boot for good
    assert boots
    for word in (PASSWORD, *(boot[key] for boot in boots for key in ("nonce", "key"))):
        assert word not in said


def test_a_runner_without_a_boot_network(guest: Path) -> None:
    """Applied from afar, false births refused; one host is power-cycled while nobody applies anything, and one gets
    another image."""
    need_namespaces()
    missing = [path for path in LOADERS if not Path(path).exists()]
    if missing:
        pytest.skip(f"boot loaders are not installed here: {', '.join(missing)}")
    parts = (applied, reborn_at_night, rolled)
    with quick_folder() as folder:
        door = (f"twin=10.98.0.1:{VCENTER}", f"login={USER}:{VCENTER_PASSWORD}")
        images = {"esx8": variant(guest, folder / "esx8", "24022510", *door),
                  "esx9": variant(guest, folder / "esx9", "24585383", *door)}
        with split_site(images, folder, 2) as site:
            for part in parts:
                began = time.monotonic()
                part(site)
                silent(site)
                print(f"\n{part.__name__} in {time.monotonic() - began:.0f} s", end="")
            print("; seconds to birth:", *(f"{each.seconds:.0f}" for each in site.machines), "MiB of machines:",
                  *(each.memory() for each in site.machines), "of vCenter, midwife:", *site.memory())


def applied(site: SplitSite) -> None:
    first, second = site.machines
    assert site.links() == {"lo", "site"}, "the runner has no way onto the boot network but through the site"
    site.apply()
    site.power_on(first)
    site.until("its last file", lambda: site.fetched(first, "birth.cpio.gz"))
    site.power_on(second)
    record = site.born(first)
    assert (record["uuid"], record["serial"], record["from"]) == (first.uuid, first.serial, first.address)
    refuse_what_is_false(site, first, second)
    site.born(second)
    site.finish()

    seen = site.at_vcenter("look")
    assert all(is_up(each, seen) for each in site.machines), seen
    assert {each.name: of(each, seen)["uuid"] for each in site.machines} == {each.name: each.uuid
                                                                             for each in site.machines}
    site.fresh("another")
    nothing_to_do(site)
    listed = site.run("births", "fleet.yaml", "--json").json
    assert sorted((each["mac"], each["image"], each["accepted"]) for each in listed["births"]) == [
        (first.mac, "", False), (first.mac, "esx8", True), (second.mac, "", False), (second.mac, "esx8", True),
        (STRANGER, "", False)]
    assert [each["mac"] for each in listed["unclaimed"]] == [STRANGER]


def nothing_to_do(site: SplitSite) -> None:
    site.run("plan", "fleet.yaml", "--detailed-exitcode")


def reborn_at_night(site: SplitSite) -> None:
    """The reset button, while nobody applies anything: the service brings the host back, and says so."""
    machine = site.machines[0]
    before, boot, runs = site.births(machine)[-1], site.standing(machine)["boot"], site.ended()
    machine.reset()
    again = site.born(machine, births=2)
    assert (again["image"], again["uuid"]) == (before["image"], before["uuid"])
    assert again["certificate"] != before["certificate"]
    assert deliver(site.network, replayed(before, boot), site.pin())[0] == 401
    site.until("a restore ends", lambda: site.ended() == runs + 1)
    assert is_up(machine, site.at_vcenter("look"))
    assert site.refused()[-1]["reason"] == "its boot was superseded by a newer one"
    runners, restored = site.history()
    assert not runners["by"].startswith("midwife@")
    assert (restored["by"].partition("@")[0], restored["outcome"]) == ("midwife", "applied")
    assert restored["reason"].endswith(f"host.{machine.name}"), restored
    nothing_to_do(site)


def rolled(site: SplitSite) -> None:
    """One host to another image: its VMs run on, elsewhere."""
    first, second = site.machines
    seen = site.at_vcenter("retire", OLD)
    assert sorted([*of(first, seen)["vms"], *of(second, seen)["vms"]]) == sorted(VMS)
    assert of(second, seen)["vms"], "the roll would move nothing"
    site.hosts[second.name] = "esx9"
    site.fresh("third")
    site.write(site.machines)
    site.apply()
    second.started = time.monotonic()
    record = site.born(second, births=2)
    assert record["build"] == "24585383"
    site.finish()
    seen = site.at_vcenter("look")
    assert all(is_up(each, seen) for each in site.machines), seen
    assert sorted(of(first, seen)["vms"]) == sorted(VMS)
    assert len(site.births(first)) == first.starts, "nobody restarted the other one"
    site.fresh("fourth")
    nothing_to_do(site)
