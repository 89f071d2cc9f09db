"""Reading a vCenter of many real-shaped hosts over HTTPS: `… bench_live read|plan FOLDER HOSTS`.

The vCenter is the twin in a process of its own (`fleet twin serve --hosts N --profile esxi-8.0.3`); only the client's
CPU time counts, so the server is never waited for. `read` reads what the whole catalogue manages, every option, service
and rule set by name, twice; `plan` plans a fleet of 30 objects a host that is applied already.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Failed, Reading, Work

ROOT = Path(__file__).parents[2]
FLEET = Path(sys.executable).with_name("fleet")
FIGURES = "live.json"
SECRETS = {"VC_PASSWORD": "", "ESX_ROOT_PASSWORD": "Benchmark-1!"}
OBJECTS = 30  # a host, itself included

BODY = """\
fleet: {{name: live}}
provider:
  vsphere: {{server: "{server}", user: "{user}", password: '${{secret("env:VC_PASSWORD")}}', thumbprint: "{pin}"}}
datacenter:
  dc0: {{}}
cluster:
  prod: {{datacenter: '${{datacenter.dc0}}'}}
host:
  esx:
    for_each: {{{members}}}
    name: '${{format("esx%05d.twin.example", each.value)}}'
    mac: '${{format("52:54:00:00:%02x:%02x", each.value // 256, each.value % 256)}}'
    cluster: ${{cluster.prod}}
    dns: {{servers: [10.0.0.53, 10.0.0.54], domain: twin.example}}
    ntp: {{servers: [10.0.0.1, 10.0.0.2]}}
    syslog: {{targets: ["udp://10.0.0.9:514"]}}
    vswitch:
      vSwitch0: {{uplinks: [vmnic0, vmnic1], mtu: 1500}}
      vSwitch1: {{uplinks: [vmnic2, vmnic3], mtu: 9000}}
    portgroup:
      Management Network: {{vswitch: vSwitch0}}
      VM Network: {{vswitch: vSwitch0}}
      vMotion: {{vswitch: vSwitch1, vlan: 20}}
      Storage: {{vswitch: vSwitch1, vlan: 30}}
    vmkernel:
      vmk1:
        portgroup: vMotion
        ip: '${{format("10.20.%d.%d", each.value // 256, each.value % 256)}}'
        netmask: 255.255.0.0
        mtu: 9000
        services: [vmotion]
    nfs:
      images: {{server: nas1.twin.example, path: /export/images, version: "3", access: readOnly}}
      scratch: {{server: nas1.twin.example, path: /export/scratch, version: "3"}}
    service:
      TSM-SSH: {{policy: "on", running: true}}
      TSM: {{policy: "off", running: false}}
    option:
{options}
"""


def _options(count: int) -> str:
    from providers.twin.facts.options import options

    own = [fact for fact in options().values() if fact.kind == "l"][:count - 1]
    lines = [f"      {fact.key}: {fact.default}" for fact in own if fact.key != "UserVars.SuppressShellWarning"]
    return "\n".join([*lines[:count - 1], "      UserVars.SuppressShellWarning: 1"])


# --- processes of which nothing is measured -------------------------------------------------------------------


@contextmanager
def vcenter(hosts: int) -> Iterator[dict[str, str]]:
    """A twin over HTTPS: url, user, password, thumbprint. It is killed, not waited for."""
    server = subprocess.Popen(
        [FLEET, "twin", "serve", "--hosts", str(hosts), "--profile", "esxi-8.0.3", "--port", "0", "--json"], cwd=ROOT,
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True, text=True)
    try:
        assert server.stdout is not None
        found: dict[str, str] = json.loads(server.stdout.readline())
        yield found
    finally:
        os.kill(server.pid, signal.SIGKILL)
        server.returncode = -signal.SIGKILL  # nobody waits: a child that is waited for counts as the parent's


def unmeasured(folder: Path, *arguments: str) -> None:
    """Run fleet; its costs count nowhere. Raises Failed."""
    command = ["sh", "-c", '"$@"; echo "exit $?"', "sh", str(FLEET), *arguments]
    running = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert running.stdout is not None
    told = running.stdout.read()
    running.returncode = 0
    if not told.endswith("exit 0\n"):
        raise Failed(f"fleet {' '.join(arguments)}:\n{told[-3000:]}")


# --- works ----------------------------------------------------------------------------------------------------


def read(folder: Path, hosts: int) -> None:
    """All that the catalogue manages of every host, and the same again."""
    from providers.vsphere.paths import paths_for  # first: it loads the catalogue

    wanted = paths_for(_everything())
    from providers.vsphere.collector import Collector
    from providers.vsphere.connect import Trust, open_stub, speak
    from providers.vsphere.link import Link
    from providers.vsphere.live import LiveReader

    with vcenter(hosts) as server:
        stub = open_stub(server["url"].split("/")[2], Trust(thumbprint=server["thumbprint"]), 60)
        link = Link(stub, lambda content: content.sessionManager.Login(server["user"], server["password"], None))
        link.connect(speak(stub))
        reader = LiveReader(link, Collector(link), None, coexist=True)  # type: ignore[arg-type]
        rows, seconds = _timed(lambda: reader.rows(wanted))
        again, once_more = _timed(lambda: reader.rows(wanted))
        assert [len(rows), len(again)] == [hosts, hosts]
        assert len(rows[0].props) >= 30, rows[0].props.keys()
        assert not rows[0].missing, rows[0].missing
        assert len({nic.mac for row in rows for nic in row.props["config.network.pnic"]}) == 4 * hosts
        link.close()
    (folder / FIGURES).write_text(json.dumps({"read": seconds, "again": once_more}))


def _everything() -> dict[str, set[str]]:
    """Every type of the catalogue; of what is asked for by name every name that a host has."""
    from providers.twin.facts.firewall import rulesets
    from providers.twin.facts.options import options
    from providers.twin.facts.services import SERVICES
    from providers.vsphere.paths import CHILDREN

    names: dict[str, set[str]] = {rtype: set() for rtype in CHILDREN}
    names["service"], names["option"], names["firewall"] = set(SERVICES), set(options()), set(rulesets())
    return {rtype: some for rtype, some in names.items() if rtype in CHILDREN}


def plan(folder: Path, hosts: int) -> None:
    """A plan with nothing to change; what it costs beyond the reading."""
    from planner.cli.main import main
    from providers.vsphere import session

    spent: list[float] = []
    found_by: Any = session.VsphereSession
    snapshot = found_by.snapshot

    def timed(self: Any, *arguments: Any) -> Any:
        found, seconds = _timed(lambda: snapshot(self, *arguments))
        spent.append(seconds)
        return found

    with vcenter(hosts) as server:
        os.environ.update(SECRETS, VC_PASSWORD=server["password"])
        members = ", ".join(f"h{n}: {n}" for n in range(1, hosts + 1))
        (folder / "fleet.yaml").write_text(BODY.format(
            server=server["url"].split("/")[2], user=server["user"], pin=server["thumbprint"], members=members,
            options=_options(OBJECTS - 15)))
        unmeasured(folder, "apply", "fleet.yaml", "--auto-approve")
        found_by.snapshot = timed
        os.chdir(folder)
        code, seconds = _timed(lambda: main(["plan", "fleet.yaml", "--detailed-exitcode"]))
        if code != 0:
            raise SystemExit(f"the plan ended with {code}")
    state = json.loads((folder / ".fleet" / "live" / "state.json").read_text())
    assert len(state["resources"]) == 2 + OBJECTS * hosts, len(state["resources"])
    (folder / FIGURES).write_text(json.dumps({"beyond": seconds - sum(spent), "snapshot": sum(spent)}))


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    before = time.process_time()
    return work(), time.process_time() - before


def _command(work: str) -> Callable[[Path, int], Sequence[str]]:
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.benchmarks.bench_live import main; main()"
    return lambda folder, size: [sys.executable, "-c", start, work, str(folder), str(size)]


def _readings(**targets: tuple[str, float]) -> Callable[[Path], Sequence[Reading]]:
    def found(folder: Path) -> Sequence[Reading]:
        told = json.loads((folder / FIGURES).read_text())
        return [Reading(measure, told[name] * 1000, target, "ms") for name, (measure, target) in targets.items()]

    return found


WORKS = (
    Work("live-read", "live read of 1,000 real-shaped hosts over HTTPS, twice", 1000, 7.0, _command("read"),
         memory=300, repeats=2,
         readings=_readings(read=("first read, CPU", 6000), again=("unchanged re-read, CPU", 1000))),
    Work("live-plan", "no-op plan of 1,000 hosts of 30 objects over HTTPS", 1000, 11.0, _command("plan"), repeats=1,
         readings=_readings(snapshot=("its snapshot, CPU", 6000), beyond=("beyond the snapshot, CPU", 5000))),
)


def main() -> None:
    {"read": read, "plan": plan}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))


if __name__ == "__main__":
    main()
