"""The network boot of `test_namespace` for users without rights: one machine, on qemu's own network stack.

qemu hands the lease out; boot files and births go through the host's own address, on ports above 1024.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.netboot.births import deliver, signed
from tests.support.netboot.site import boot_site
from tests.support.netboot.wires import user_mode
from tests.support.places import quick_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_machine_boots_is_born_and_configured(guest: Path) -> None:
    with quick_folder() as folder, boot_site(user_mode(), guest, folder, ["ipxe-tftp"]) as site:
        (machine,) = site.machines
        site.write(site.machines)
        site.apply()
        site.power_on(machine)
        site.until("its boot files are fetched", lambda: site.fetched(machine, "boot.ipxe"))
        boot, spki = site.standing(machine)["boot"], site.pin()
        strange = {"mac": machine.mac, "uuid": machine.uuid, "serial": "x", "version": "8.0.3", "build": "1",
                   "ip": "10.0.2.15", "certificate": "x", "thumbprint": "x"}
        assert deliver(site.network, signed(strange, boot["nonce"], b"f" * 32, 0), spki)[0] == 401
        birth = site.born(machine)
        assert (birth["uuid"], birth["serial"], birth["ip"]) == (machine.uuid, machine.serial, "10.0.2.15")
        site.finish()
        assert [line["reason"] for line in site.refused()] == ["its signature is wrong (forged)"]
        site.run("plan", "fleet.yaml", "--detailed-exitcode")
        print(f"\nseconds to birth: {machine.seconds:.0f}")
