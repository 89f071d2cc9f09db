"""From a fleet file to configured hosts, through real firmware: qemu machines, a real DHCP server, our servers.

What boots is a Debian kernel in ESXi's place (VMware's software cannot be run here): it goes through our boot files,
runs the payload that ESXi would run, and its birth is taken in by `fleet apply`, which adds the host to the twin.
Everything happens in a network namespace, on the well-known ports.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from providers.twin.house import open_house
from tests.support.netboot.births import deliver, replayed, signed
from tests.support.netboot.machine import TAGS, By, Machine
from tests.support.netboot.site import LOADERS, PASSWORD, BootSite, boot_site
from tests.support.netboot.wires import Namespace, dnsmasq, namespace
from tests.support.places import quick_folder
from tests.support.tools import need_namespaces

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EIGHT: tuple[By, ...] = ("ipxe-http", "ipxe-http", "ipxe-tftp", "ipxe-http", "pxelinux", "ipxe-tftp", "uefi-pxe",
                         "uefi-http")
STRANGER = "52:54:00:99:00:ee"


@contextmanager
def site_of(guest: Path, ways: Sequence[By]) -> Iterator[tuple[BootSite, Namespace]]:
    need_namespaces()
    missing = [path for path in LOADERS if not Path(path).exists()]
    if missing:
        pytest.skip(f"boot loaders are not installed here: {', '.join(missing)}")
    with quick_folder() as folder, namespace(len(ways)) as network, boot_site(network, guest, folder, ways) as site:
        site.write(site.machines)
        site.run("dhcp", "fleet.yaml", "--server", "dnsmasq", "--out", "dnsmasq.conf")
        with dnsmasq(network, folder, folder / "dnsmasq.conf", {each.mac: TAGS[each.by] for each in site.machines}):
            yield site, network


def live(site: BootSite) -> Any:
    """The twin's inventory as the last command left it."""
    return open_house(site.state / "twin", "e2e", machines=[], writable=False).dump()


def refused(site: BootSite) -> list[tuple[str, str]]:
    return [(line["mac"], line["reason"]) for line in site.refused()]


def by_way(site: BootSite, machine: Machine) -> set[tuple[str, str]]:
    """The way each of its own files took, by the file's name."""
    return {(line["via"], line["path"].rsplit("/", 1)[-1]) for line in site.fetched(machine, "")}


def broken_off(site: BootSite, machine: Machine, name: str) -> bool:
    """Whether some transfer of that file ended in its middle."""
    size = (site.image / name).stat().st_size
    return any(line["mac"] == machine.mac and line["path"].endswith(name) and 0 < line["bytes"] < size
               for line in site.lines("boot/access.jsonl"))


def silent(site: BootSite) -> None:
    """No secret is in what the commands said, nor in the log of requests."""
    said = "".join(map(str, site.events)) + "".join(map(str, site.lines("boot/access.jsonl")))
    for word in (PASSWORD, *(site.standing(each)["boot"][key] for each in site.machines for key in ("nonce", "key"))):
        assert word not in said


def test_eight_machines_at_once(guest: Path) -> None:
    """Every kind of firmware, of boot loader and of transport; forged, replayed and strangers' births meanwhile."""
    with site_of(guest, EIGHT) as (site, _):
        first, clock, tftp, twice, pxelinux, late, *_ = machines = site.machines
        clock.clock = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S")
        site.apply()
        began = time.monotonic()
        site.power_on(*(each for each in machines if each is not late))

        # One is reset in the middle of its boot: what the boot before was given is void. The link of another one goes
        # down between firmware and payload; it comes up again at the end of all this.
        site.until("the boot file of the first try", lambda: site.fetched(twice, "boot.ipxe"))
        void = site.standing(twice)["boot"]
        twice.reset()
        site.power_on(late)
        site.until("the last file", lambda: site.fetched(late, "birth.cpio.gz"))
        late.link(False)

        record, boot, pin = site.born(first), site.standing(first)["boot"], site.pin()
        site.born(twice)
        key = bytes.fromhex(boot["key"])
        now = time.time()
        posts = {
            "forged": signed(record, boot["nonce"], b"f" * 32, now),
            "stranger": signed(record, boot["nonce"], key, now, mac=STRANGER),
            "replayed from a void boot": signed(record, void["nonce"], bytes.fromhex(void["key"]), now, mac=twice.mac),
            "another's nonce": signed(record, boot["nonce"], key, now, mac=twice.mac),
            "another body": signed(record, boot["nonce"], key, now, serial="changed"),
            "replayed": replayed(record, boot),
        }
        answers = {name: deliver(site.network, body, pin)[0] for name, body in posts.items()}
        assert answers == {"forged": 401, "stranger": 401, "replayed from a void boot": 401, "another's nonce": 401,
                           "another body": 409, "replayed": 200}
        assert site.births(first) == [record]  # the replay had no effect
        site.until("the payload's machine asks in vain", lambda: "no lease yet" in late.console)
        assert not site.births(late)
        late.link(True)
        for machine in machines:
            birth = site.born(machine)
            assert (birth["uuid"], birth["serial"]) == (machine.uuid, machine.serial)
            assert birth["from"] == birth["ip"] == machine.address
        said = site.finish().err
        took = time.monotonic() - began

        reasons = [each for each in refused(site) if each[0] != clock.mac]
        assert reasons == [
            (first.mac, "its signature is wrong (forged)"), (STRANGER, "unknown MAC: nothing is staged for it"),
            (twice.mac, "its boot was superseded by a newer one"), (twice.mac, "unknown nonce"),
            (first.mac, "another body for an accepted nonce")]
        assert [reason for mac, reason in refused(site) if mac == clock.mac and "clock is" in reason]
        assert said.count("was refused: its signature is wrong (forged)") == 1
        assert ("tftp", "boot.ipxe") in by_way(site, tftp)
        assert ("tftp", "vmlinuz") in by_way(site, pxelinux)
        assert {via for via, _ in by_way(site, first)} == {"http"}
        silent(site)
        assert {each.name: live(site)["hosts"][f"{each.name}.lab.example"]["uuid"] for each in machines} == {
            each.name: each.uuid for each in machines}
        site.run("plan", "fleet.yaml", "--detailed-exitcode")
        print(f"\n8 machines configured in {took:.0f} s:",
              *(f"{each.by} {each.seconds:.0f} s {each.memory()} MB," for each in machines))


def test_machines_that_vanish_and_come_back(guest: Path) -> None:
    """One loses its power in the middle of a transfer. A stateless host boots again from what stands for it."""
    with site_of(guest, ["ipxe-http", "pxelinux", "ipxe-http"]) as (site, network):
        stateless, vanishing, added = site.machines
        site.write([stateless, vanishing])
        site.apply()
        site.power_on(stateless, vanishing)
        site.until("a configuration", lambda: site.fetched(vanishing, f"01-{vanishing.mac.replace(':', '-')}"))
        time.sleep(0.2)
        vanishing.kill()
        assert not site.fetched(vanishing, "vmlinuz"), "the kill came too late"
        vanishing.start()
        record, boot = site.born(stateless), site.standing(stateless)["boot"]
        site.born(vanishing)
        site.until("the end of what was broken off", lambda: broken_off(site, vanishing, "vmlinuz"))
        site.finish()
        site.run("plan", "fleet.yaml", "--detailed-exitcode")

        # A third host joins, on a network that loses packets. While apply listens, the first one is power-cycled.
        network.lossy(1)
        site.write([stateless, vanishing, added])
        site.apply()
        site.until("apply asks for the third", lambda: site.asked_for(added))
        stateless.reset()
        again = site.born(stateless, births=2)
        assert again["image"] == record["image"]
        assert again["certificate"] != record["certificate"]
        assert deliver(site.network, replayed(record, boot), site.pin())[0] == 401
        site.until("the refusal is written down", site.refused)
        assert refused(site) == [(stateless.mac, "its boot was superseded by a newer one")]
        site.power_on(added)
        site.born(added)
        site.finish()
        assert network.lost() > 0

        # It lost its configuration with its memory: the next run restores it, without yet another boot.
        assert "restores" in site.run("plan", "fleet.yaml", "--detailed-exitcode", code=2).out
        site.apply()
        site.finish()
        done = {event["operation"] for event in site.events if event["kind"] == "done"}
        assert "host.reconnect" in done
        assert not [operation for operation in done if operation.startswith(("boot.", "power."))]
        assert len(site.births(stateless)) == 2
        silent(site)
        site.run("plan", "fleet.yaml", "--detailed-exitcode")
        print("\nseconds to birth:", *(f"{each.by} {each.seconds:.0f}," for each in site.machines))
