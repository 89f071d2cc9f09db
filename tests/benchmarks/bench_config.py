"""Workloads of the fleet language: validate a large fleet, written out and by `for_each`.

`tests.benchmarks` measures them; each builds its file in `tmp` first and leaves it there, so that a second call
measures the loading alone.
"""

from __future__ import annotations

from pathlib import Path

from planner.config import load_fleet
from planner.model import Fleet
from tests.support.config_catalog import BLOCKS, catalog

HEAD = """\
fleet: {name: big}
variable:
  ntp_servers: {type: list(string), default: [10.0.0.1, 10.0.0.2]}
locals:
  domain: lab.example
provider:
  vsphere: {server: twin}
image:
  esxi8: {source: images/demo}
datacenter:
  dc0: {}
cluster:
  prod: {datacenter: '${datacenter.dc0}', drs: {enabled: true, automation: fullyAutomated}}
profile:
  compute:
    image: ${image.esxi8}
    cluster: ${cluster.prod}
    root_password: '${secret("env:ESX_ROOT_PASSWORD")}'
    dns: {servers: [10.0.0.53], domain: '${local.domain}'}
    ntp: {servers: '${var.ntp_servers}'}
    syslog: {targets: ["udp://10.0.0.9:514"]}
    nfs:
      images: {server: nas1.lab.example, path: /export/images, version: 3, access: readOnly}
    service:
      TSM-SSH: {policy: "off", running: false}
    option:
      UserVars.SuppressShellWarning: 1
host:
"""

HOST = """\
  h{n}:
    profile: compute
    name: h{n}.lab.example
    mac: 52:54:00:{a:02x}:{b:02x}:{c:02x}
    vswitch:
      vSwitch0:
        uplinks: [vmnic0]
        mtu: 1500
      vSwitch1:
        uplinks: [vmnic1]
        mtu: 9000
    portgroup:
      vMotion:
        vswitch: vSwitch1
        vlan: 20
    vmkernel:
      vmk1:
        portgroup: vMotion
        ip: 10.{d}.{b}.{c}
        netmask: 255.0.0.0
        services: [vmotion]
"""

EACH = """\
  esx:
    for_each: {{{members}}}
    profile: compute
    name: '${{each.key}}.${{local.domain}}'
    mac: '${{format("52:54:00:00:%02x:%02x", each.value.n // 256, each.value.n % 256)}}'
    vswitch:
      vSwitch0: {{uplinks: [vmnic0], mtu: 1500}}
      vSwitch1: {{uplinks: [vmnic1], mtu: 9000}}
    portgroup:
      vMotion: {{vswitch: vSwitch1, vlan: 20}}
    vmkernel:
      vmk1:
        portgroup: vMotion
        ip: '${{cidrhost("10.0.0.0/16", each.value.n + 10)}}'
        netmask: '${{cidrnetmask("10.0.0.0/16")}}'
        mtu: 9000
        services: [vmotion]
"""


def write_hosts(path: Path, count: int) -> Path:
    """A fleet of `count` hosts, 21 lines each (unless it is there already)."""
    if not path.exists():
        hosts = (HOST.format(n=n, a=n >> 16, b=n >> 8 & 255, c=n & 255, d=20 + (n >> 16)) for n in range(count))
        path.write_text(HEAD + "".join(hosts))
    return path


def write_each(path: Path, count: int) -> Path:
    """A fleet of `count` hosts by one `for_each` block (unless it is there already)."""
    if not path.exists():
        members = ", ".join(f"esx{n:04}: {{n: {n}}}" for n in range(count))
        path.write_text(HEAD + EACH.format(members=members))
    return path


def load(path: Path) -> Fleet:
    """What `fleet validate` does with it."""
    return load_fleet(path, catalog(), BLOCKS)


def validate_10k_hosts(tmp: Path) -> None:
    """10,000 hosts written out, 210,000 lines, 110,000 resources. Target: 3 CPU seconds, 400 MB."""
    fleet = load(write_hosts(tmp / "hosts-10000.yaml", 10_000))
    assert len(fleet.resources) == 110_002


def validate_1k_for_each(tmp: Path) -> None:
    """1,000 hosts by `for_each`. Target: 1 CPU second."""
    fleet = load(write_each(tmp / "each-1000.yaml", 1_000))
    assert len(fleet.resources) == 11_002
