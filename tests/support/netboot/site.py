"""A fleet whose machines are real ones (in qemu), and the `fleet` commands that run on their boot network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from providers.midwife.identity import open_identity
from providers.midwife.inbox import Inbox
from tests.support.netboot.machine import By, Machine
from tests.support.netboot.wires import Network, end
from tests.support.process import FLEET, Done

ROOT = Path(__file__).parents[3]
LOADERS = ("/usr/lib/ipxe/undionly.kpxe", "/usr/lib/ipxe/snponly.efi", "/usr/lib/PXELINUX/pxelinux.0",
           "/usr/lib/syslinux/modules/bios/ldlinux.c32")
SECONDS = 240.0
"""Only a machine or a command that hangs takes that long."""

FLEET_FILE = """\
fleet: {{name: e2e}}
provider:
  vsphere: {{server: twin, seed: seed.yaml}}
  boot: {{listen: {address}, ports: {ports}, loaders: loaders{dhcp}}}
image:
  guest: {{source: {image}}}
datacenter: {{dc0: {{}}}}
cluster: {{prod: {{datacenter: '${{datacenter.dc0}}'}}}}
host:
  esx:
    for_each: {{{keys}}}
    name: '${{each.key}}.lab.example'
    mac: '52:54:00:99:00:${{each.value.n}}'
    boot_address: '10.99.0.1${{each.value.n}}'
    image: ${{image.guest}}
    cluster: ${{cluster.prod}}
    root_password: '${{secret("env:E2E_ROOT_PASSWORD")}}'
    ntp: {{servers: [10.0.0.1]}}
    vswitch: {{vSwitch0: {{uplinks: [vmnic0], mtu: 1500}}, vSwitch1: {{uplinks: [vmnic1], mtu: 9000}}}}
    portgroup: {{vMotion: {{vswitch: vSwitch1, vlan: 20}}}}
    option: {{UserVars.SuppressShellWarning: 1}}
"""
PASSWORD = "s3cret-of-the-test!"
Event = dict[str, Any]


@dataclass
class Running:
    """A `fleet` command with `--json` that runs; `events` are its lines so far."""

    process: subprocess.Popen[str]
    events: list[Event] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # stderr

    def __post_init__(self) -> None:
        self._readers = [threading.Thread(target=each, daemon=True) for each in (self._out, self._err)]
        for reader in self._readers:
            reader.start()

    def _out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            if isinstance(event, dict) and "kind" in event:
                self.events.append(event)
            else:
                self.other.append(line)

    def _err(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)

    def done(self) -> Done:
        """Its end. Whatever it is."""
        code = self.process.wait(SECONDS)
        for reader in self._readers:
            reader.join(30)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return Done(code, "".join(self.other), "".join(self.said))


@dataclass
class BootSite:
    """A working directory, a boot network, and the machines on it."""

    folder: Path
    network: Network
    image: Path
    machines: list[Machine] = field(default_factory=list)
    running: Running | None = None
    events: list[Event] = field(default_factory=list)  # of the apply that ended last

    def __post_init__(self) -> None:
        self._inbox = Inbox(self.state / "midwife")

    @property
    def state(self) -> Path:
        return self.folder / ".fleet/e2e"

    def write(self, machines: Sequence[Machine]) -> None:
        """The fleet file that declares these machines."""
        loaders = self.folder / "loaders"
        loaders.mkdir(exist_ok=True)
        for path in LOADERS:
            shutil.copy(path, loaders)
        keys = ", ".join(f'{each.name}: {{n: "{each.number:02}"}}' for each in machines)
        ports = json.dumps(self.network.ports).replace('"', "")
        (self.folder / "fleet.yaml").write_text(FLEET_FILE.format(
            address=self.network.address, ports=ports, image=self.image, keys=keys,
            dhcp=f", dhcp: {self.network.dhcp}" if self.network.dhcp else ""))
        rows = "".join(f'  "{each.mac}": {{name: {each.name}.lab.example, power: external}}\n' for each in machines)
        (self.folder / "seed.yaml").write_text(f"machines:\n{rows}")

    # --- commands ----------------------------------------------------------------------------------------

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.network.command(*FLEET, *arguments), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "E2E_ROOT_PASSWORD": PASSWORD})

    def run(self, *arguments: str, code: int = 0) -> Done:
        process = self._start(*arguments)
        try:
            out, err = process.communicate(timeout=SECONDS)
        finally:
            end(process)
        assert process.returncode == code, f"{arguments}: {process.returncode}, not {code}\n{out}\n{err}"
        return Done(process.returncode, out, err)

    def apply(self) -> Running:
        """`fleet apply`, started: it serves boot files and takes births in for as long as it runs."""
        self.running = Running(self._start("apply", "fleet.yaml", "--auto-approve", "--json"))
        return self.running

    def until(self, what: str, holds: Callable[[], Any], seconds: float = SECONDS) -> Any:
        """Wait; what `holds` returned. Raises AssertionError where apply, or a machine, ended meanwhile."""
        limit = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < limit, f"not within {seconds:.0f} s: {what}"
            assert self.running is None or self.running.process.poll() is None or holds(), \
                f"fleet ended before this: {what}\n{self.running.done()}"
            for each in self.machines:
                assert each.process is None or each.process.poll() is None, f"{each.name}'s qemu ended before: {what}"
            time.sleep(0.05)
        return found

    def asked_for(self, machine: Machine) -> bool:
        """Whether apply has asked for this machine's power button."""
        assert self.running is not None
        return any(f"MAC {machine.mac}" in str(event.get("message")) for event in list(self.running.events))

    # --- records ------------------------------------------------------------------------------------------

    def lines(self, path: str) -> list[dict[str, Any]]:
        """Whole JSON lines of a file below the fleet's folder."""
        file = self.state / path
        return [json.loads(line) for line in file.read_bytes().split(b"\n")[:-1]] if file.exists() else []

    def fetched(self, machine: Machine, ending: str) -> list[dict[str, Any]]:
        return [line for line in self.lines("boot/access.jsonl")
                if line["mac"] == machine.mac and line["path"].endswith(ending) and line["status"] < 400]

    def births(self, machine: Machine) -> list[dict[str, Any]]:
        """What the midwife wrote down when it accepted them."""
        return self._inbox.latest(mac=machine.mac)

    def refused(self) -> list[dict[str, Any]]:
        """What the midwife wrote down about births that it refused."""
        return self._inbox.refused()

    def standing(self, machine: Machine) -> dict[str, Any]:
        """The staged boot of a machine, nonce and key included: a test may know what strangers do not."""
        found: dict[str, Any] = json.loads((self.state / f"boot/01-{machine.mac.replace(':', '-')}.json").read_text())
        return found

    def pin(self) -> str:
        """What boot files pin the birth listener's key by."""
        return open_identity(self.state / "midwife").spki_sha256

    # --- what a person would do ---------------------------------------------------------------------------

    def power_on(self, *machines: Machine) -> None:
        """Press the buttons that the plan's manual steps ask for: those of machines that are on reset them."""
        for machine in machines:
            self.until(f"apply asks for {machine.name}", partial(self.asked_for, machine))
            if machine.process is None:
                machine.start()
            else:
                machine.reset()

    def born(self, machine: Machine, births: int = 1) -> dict[str, Any]:
        """Wait for its birth, the `births`-th in all; what the midwife wrote down."""
        self.until(f"{machine.name} is born", lambda: len(self.births(machine)) >= births)
        machine.seconds = time.monotonic() - machine.started
        assert len(self.births(machine)) == births
        return self.births(machine)[-1]

    def finish(self) -> Done:
        """The end of apply, which must be a good one."""
        assert self.running is not None
        done = self.running.done()
        assert done.code == 0, done
        self.events, self.running = self.running.events, None
        return done

    def close(self) -> None:
        for machine in self.machines:
            machine.kill()
        if self.running is not None:
            end(self.running.process)
            self.running.done()
        self._inbox.close()

    def report(self) -> str:
        """What a person wants to see when it went wrong."""
        parts = [f"--- {each.name} ({each.by})\n{each.console[-3000:]}" for each in self.machines]
        parts += [f"--- {line}" for line in self.lines("boot/access.jsonl")[-60:]]
        log = self.folder / "dnsmasq.log"
        parts.append(log.read_text()[-3000:] if log.exists() else "no dnsmasq")
        if self.running is not None:
            parts.append("".join(self.running.said)[-3000:])
            parts += [str(event) for event in self.running.events[-20:] if event["kind"] != "fleet.plan"]
        return "\n".join(parts)


@contextmanager
def boot_site(network: Network, image: Path, folder: Path, ways: Sequence[By]) -> Iterator[BootSite]:
    """A site with a machine for each way to boot; everything in it ends with the block, and a failure shows it all."""
    site = BootSite(folder, network, image)
    site.machines = [Machine(network, folder, number, by) for number, by in enumerate(ways)]
    try:
        yield site
    except BaseException as error:
        error.add_note(site.report())
        raise
    finally:
        site.close()
