"""A site whose midwife is a service: runner in one network namespace; midwife, machines and vCenter in another.

vCenter is `fleet twin serve`; a machine's own SDK door is the machine's own port 443 (see `guest_door`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from providers.midwife.identity import open_identity
from providers.twin.house import PASSWORD as VCENTER_PASSWORD
from providers.twin.house import USER
from tests.support.netboot.machine import TAGS, Machine
from tests.support.netboot.site import LOADERS, PASSWORD, ROOT, SECONDS, BootSite
from tests.support.netboot.wires import Namespace, Neighbour, dnsmasq, end, namespace, neighbour, start
from tests.support.process import FLEET, Done

API, VCENTER = 8444, 8443
OLD = "old.lab.example"
"""A host that no fleet file declares. The VMs run there at first."""
VMS = ("web1", "web2")
SEED = f"""\
datacenters: [dc0]
clusters: {{dc0/prod: {{drs: {{enabled: true, automation: fullyAutomated}}}}}}
hosts:
  {OLD}:
    mac: "52:54:00:99:00:90"
    cluster: dc0/prod
    config:
      vswitch: {{vSwitch1: {{uplinks: [vmnic1], mtu: 9000}}}}
      portgroup: {{vMotion: {{vswitch: vSwitch1, vlan: 20}}, VMs: {{vswitch: vSwitch0, vlan: 30}}}}
      vmkernel: {{vmk1: {{portgroup: vMotion, ip: 10.99.20.90, netmask: 255.255.255.0, services: [vmotion]}}}}
      nfs: {{vms: {{server: nas1, path: /vms}}}}
vms:
"""
FLEET_FILE = """\
fleet: {{name: e2e}}
provider:
  vsphere:
    server: {site}:{vcenter}
    user: {user}
    password: '${{secret("env:E2E_VCENTER_PASSWORD")}}'
    thumbprint: {thumbprint}
  boot:
    midwife: https://{site}:{api}
    identity: '${{secret("file:lab.pem")}}'
    listen: {listen}
    loaders: loaders
    dhcp: {{subnet: 10.99.0.0/24, router: {listen}, interface: boot}}
image:
{images}
datacenter: {{dc0: {{}}}}
cluster: {{prod: {{datacenter: '${{datacenter.dc0}}', drs: {{enabled: true, automation: fullyAutomated}}}}}}
host:
"""
HOST = """\
  {name}:
    name: {name}.lab.example
    mac: '{mac}'
    boot_address: {address}
    image: ${{image.{image}}}
    cluster: ${{cluster.prod}}
    root_password: '${{secret("env:E2E_ROOT_PASSWORD")}}'
    ntp: {{servers: [10.0.0.1]}}
    vswitch: {{vSwitch0: {{uplinks: [vmnic0], mtu: 1500}}, vSwitch1: {{uplinks: [vmnic1], mtu: 9000}}}}
    portgroup: {{vMotion: {{vswitch: vSwitch1, vlan: 20}}, VMs: {{vswitch: vSwitch0, vlan: 30}}}}
    vmkernel: {{vmk1: {{portgroup: vMotion, ip: 10.99.20.{number}, netmask: 255.255.255.0, services: [vmotion]}}}}
    nfs: {{vms: {{server: nas1, path: /vms}}}}
    option: {{UserVars.SuppressShellWarning: 1}}
"""


@dataclass
class SplitSite(BootSite):
    """`state` is the midwife's folder; `work` the runner's working directory. `hosts`: name → the image it boots."""

    runner: Neighbour = field(kw_only=True)
    images: Mapping[str, Path] = field(kw_only=True)
    thumbprint: str = ""
    work: Path = field(init=False)
    serving: list[subprocess.Popen[str]] = field(default_factory=list)
    hosts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.work = self.folder / "runner"
        self.work.mkdir()
        super().__post_init__()

    @property
    def state(self) -> Path:
        return self.folder / "midwife"

    def pin(self) -> str:
        return open_identity(self.state / "identity").spki_sha256

    # --- services of the site -----------------------------------------------------------------------------

    def serve(self, *arguments: object) -> dict[str, Any]:
        """A service, in the machines' network; what it says when it is ready."""
        log = self.folder / f"{arguments[0]}.log"
        with log.open("a") as said:
            process = start(self.network, *FLEET, *arguments, "--json", cwd=self.folder, stdout=subprocess.PIPE,
                            text=True, stderr=said, env=self.environment())
        self.serving.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        found: dict[str, Any] = json.loads(line)
        return found

    def serve_vcenter(self) -> None:
        machines = "".join(f'  "{each.mac}": {{name: {each.name}.lab.example, power: external}}\n'
                           for each in self.machines)
        vms = "".join(f'  {name}: {{host: {OLD}, datastores: [vms], networks: [VMs], power: "on"}}\n' for name in VMS)
        (self.folder / "seed.yaml").write_text(f"{SEED}{vms}machines:\n{machines}")
        self.thumbprint = self.serve("twin", "serve", "--seed", "seed.yaml", "--listen", self.runner.site, "--port",
                                     VCENTER)["thumbprint"]

    def serve_midwife(self) -> None:
        loaders = self.folder / "loaders"
        loaders.mkdir()
        for path in LOADERS:
            shutil.copy(path, loaders)
        assert isinstance(self.network, Namespace)
        self.serve("midwife", "serve", "--folder", self.state, "--listen", self.network.address, "--api",
                   f"{self.runner.site}:{API}", "--loaders", loaders)

    def enroll(self) -> None:
        """What the site's administrator hands to the runner."""
        done = subprocess.run(self.network.command(*FLEET, "midwife", "enroll", "e2e", "--folder", self.state, "--out",
                                                   self.work / "lab.pem"),
                              env=self.environment(), capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done

    # --- the runner ---------------------------------------------------------------------------------------

    def fresh(self, name: str) -> None:
        """From now on the runner is another one: a working directory with the fleet file and the identity in it."""
        before, self.work = self.work, self.folder / name
        self.work.mkdir()
        for each in ("fleet.yaml", "lab.pem"):
            shutil.copy(before / each, self.work)

    def write(self, machines: Sequence[Machine]) -> None:
        images = "\n".join(f"  {name}: {{source: {folder}}}" for name, folder in self.images.items())
        first = next(iter(self.images))
        assert isinstance(self.network, Namespace)
        text = FLEET_FILE.format(site=self.runner.site, vcenter=VCENTER, api=API, user=USER, images=images,
                                 thumbprint=self.thumbprint, listen=self.network.address)
        (self.work / "loaders").mkdir(exist_ok=True)
        for path in LOADERS:
            shutil.copy(path, self.work / "loaders")
        (self.work / "fleet.yaml").write_text(text + "".join(
            HOST.format(name=each.name, mac=each.mac, address=each.address, number=100 + each.number,
                        image=self.hosts.get(each.name, first)) for each in machines))

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "E2E_ROOT_PASSWORD": PASSWORD,
                "E2E_VCENTER_PASSWORD": VCENTER_PASSWORD}

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.runner.command(*FLEET, *arguments), cwd=self.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=self.environment())

    def links(self) -> set[str]:
        """The network interfaces that the runner has."""
        done = subprocess.run(self.runner.command("ip", "-j", "link"), capture_output=True, check=True, timeout=60)
        return {str(each["ifname"]) for each in json.loads(done.stdout)}

    def at_vcenter(self, *words: str) -> dict[str, Any]:
        """See `vcenter`: what it shows afterwards."""
        done = subprocess.run(
            self.runner.command(sys.executable, "-m", "tests.support.netboot.vcenter", f"{self.runner.site}:{VCENTER}",
                                USER, VCENTER_PASSWORD, *words),
            cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def ended(self) -> int:
        """How many runs of the fleet have ended, as the midwife's folder tells."""
        journals = (self.state / "fleets/e2e/runs").glob("*.jsonl")
        return sum(b'"kind":"end"' in path.read_bytes().rstrip(b"\n").rpartition(b"\n")[2] for path in journals)

    def history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.run("state", "history", "fleet.yaml", "--json").json["history"]
        return found

    def memory(self) -> list[int]:
        """MiB that each service took at most: vCenter, the midwife."""
        return [int(line.split()[1]) // 1024 for process in self.serving
                for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith("VmHWM")]

    def close(self) -> None:
        super().close()
        for process in self.serving:
            end(process)
            assert process.stdout is not None
            process.stdout.close()

    def report(self) -> str:
        logs = [f"--- {path.name}\n{path.read_text()[-4000:]}" for path in sorted(self.folder.glob("[mt]*.log"))]
        return "\n".join([super().report(), *logs])


@contextmanager
def split_site(images: Mapping[str, Path], folder: Path, machines: int) -> Iterator[SplitSite]:
    """All of it serves, nothing is applied yet; everything in it ends with the block, and a failure shows it all."""
    with ExitStack() as stack:
        network = stack.enter_context(namespace(machines))
        runner = stack.enter_context(neighbour(network))
        site = SplitSite(folder, network, next(iter(images.values())), runner=runner, images=images)
        site.machines = [Machine(network, folder, number, "ipxe-http") for number in range(machines)]
        try:
            site.serve_vcenter()
            site.serve_midwife()
            site.enroll()
            site.write(site.machines)
            site.run("dhcp", "fleet.yaml", "--server", "dnsmasq", "--out", str(folder / "dnsmasq.conf"))
            stack.enter_context(dnsmasq(network, folder, folder / "dnsmasq.conf",
                                        {each.mac: TAGS[each.by] for each in site.machines}))
            yield site
        except BaseException as error:
            error.add_note(site.report())
            raise
        finally:
            site.close()


__all__ = ["Done", "SplitSite", "split_site"]
