"""Fleets of many hosts for the benchmarks, written as a person would write them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

IMAGE = Path(__file__).parents[2] / "fleets" / "images" / "demo"
HEAD = """\
fleet: {name: bench}
provider:
  vsphere: {server: twin}
  boot: {listen: 127.0.0.1}
image:
  esxi8: {source: image}
datacenter:
  dc0: {}
cluster:
  prod: {datacenter: '${datacenter.dc0}', drs: {enabled: true, automation: fullyAutomated}, ha: {enabled: true}}
"""


def _mac(n: int) -> str:
    return f"52:54:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}"


def _ip(net: int, n: int) -> str:
    return f"10.{net}.{n // 250}.{n % 250 + 1}"


def _block(n: int) -> str:
    """One host, 21 lines."""
    return f"""\
  esx{n:05d}:
    name: esx{n:05d}.lab.example
    mac: {_mac(n)}
    image: ${{image.esxi8}}
    cluster: ${{cluster.prod}}
    root_password: '${{secret("env:ESX_ROOT_PASSWORD")}}'
    dns: {{servers: [10.0.0.53], domain: lab.example}}
    ntp: {{servers: [10.0.0.1, 10.0.0.2]}}
    syslog: {{targets: ["udp://10.0.0.9:514"]}}
    vswitch:
      vSwitch0: {{uplinks: [vmnic0], mtu: 1500}}
      vSwitch1: {{uplinks: [vmnic1], mtu: 9000}}
    portgroup:
      vMotion: {{vswitch: vSwitch1, vlan: 20}}
      Storage: {{vswitch: vSwitch1, vlan: 30}}
    vmkernel:
      vmk1: {{portgroup: vMotion, ip: {_ip(20, n)}, netmask: 255.255.0.0, mtu: 9000, services: [vmotion]}}
    service:
      TSM-SSH: {{policy: "off", running: false}}
    option:
      UserVars.SuppressShellWarning: 1
"""


FOR_EACH = """\
profile:
  compute:
    image: ${image.esxi8}
    cluster: ${cluster.prod}
    root_password: '${secret("env:ESX_ROOT_PASSWORD")}'
    dns: {servers: [10.0.0.53], domain: lab.example}
    ntp: {servers: [10.0.0.1, 10.0.0.2]}
    syslog: {targets: ["udp://10.0.0.9:514"]}
    vswitch:
      vSwitch0: {uplinks: [vmnic0], mtu: 1500}
      vSwitch1: {uplinks: [vmnic1], mtu: 9000}
    portgroup:
      vMotion: {vswitch: vSwitch1, vlan: 20}
    service:
      TSM-SSH: {policy: "off", running: false}
    option:
      UserVars.SuppressShellWarning: 1
host:
  esx:
    for_each: ${local.hosts}
    profile: compute
    name: '${each.key}.lab.example'
    mac: '${each.value.mac}'
    vmkernel:
      vmk1: {portgroup: vMotion, ip: '${each.value.ip}', netmask: 255.255.0.0, mtu: 9000, services: [vmotion]}
"""


def write_blocks(folder: Path, size: int) -> None:
    """`size` host blocks of 21 lines each."""
    shutil.copytree(IMAGE, folder / "image")
    (folder / "fleet.yaml").write_text(HEAD + "host:\n" + "".join(_block(n) for n in range(size)))


def write_for_each(folder: Path, size: int) -> None:
    """`size` hosts by one block with `for_each` and a profile."""
    shutil.copytree(IMAGE, folder / "image")
    table = "".join(f"    esx{n:05d}: {{mac: '{_mac(n)}', ip: {_ip(20, n)}}}\n" for n in range(size))
    (folder / "fleet.yaml").write_text(f"{HEAD}locals:\n  hosts:\n{table}{FOR_EACH}")


def write_applied(folder: Path, size: int) -> None:
    """The same after an apply on the twin: every host born, configured and in state."""
    write_for_each(folder, size)
    fleet = Path(sys.executable).with_name("fleet")
    command: list[str | Path] = [fleet, "apply", "fleet.yaml", "--auto-approve", "--json"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "ESX_ROOT_PASSWORD": "Benchmark-1!"},
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"preparing {size} hosts failed ({done.returncode}):\n{done.stdout[-2000:]}\n{done.stderr}")
