"""`fleet init`"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from planner.cli.terminal import Usage, emit, note
from planner.model import Diagnostic, FleetError

app = typer.Typer(add_completion=False)

STARTER = '''\
# A fleet of two stateless ESXi hosts. It runs as it is, on the embedded twin: a vCenter and hosts to rehearse on.
#
#   fleet validate fleet.yaml     is the file right?
#   fleet plan     fleet.yaml     what would happen, step by step, and how it would be undone
#   fleet apply    fleet.yaml     do it
#   fleet rollback fleet.yaml     undo it
#
# `fleet schema > schema.json` gives completion in editors that speak the YAML language server:
# yaml-language-server: $schema=schema.json

fleet:
  name: NAME                  # state, journals and the twin live in .fleet/NAME/ of the working directory

variable:
  ntp_servers: {type: list(string), default: [10.0.0.1, 10.0.0.2]}   # fleet plan --var / --var-file set others

locals:
  domain: lab.example

provider:
  # The twin lives inside each command. For a real vCenter:
  # vsphere: {server: vc.lab.example, user: fleet@vsphere.local, password: '${secret("env:VC_PASSWORD")}'}
  vsphere: {server: twin}
  boot: {listen: 127.0.0.1}   # TFTP, HTTP and births, served by `fleet apply` itself while it runs

image:
  esxi8: {source: images/demo}   # stand-ins that the twin boots; for real hosts the folder of an ESXi ISO's boot files

datacenter:
  dc0: {}

cluster:
  prod:
    datacenter: '${datacenter.dc0}'
    drs: {enabled: true, automation: fullyAutomated}
    ha: {enabled: true}

# What the hosts have in common. Maps merge deeply with a host's own body; scalars and lists are replaced by it.
profile:
  compute:
    image: ${image.esxi8}
    cluster: ${cluster.prod}
    root_password: '${secret("file:secrets/esx-root")}'   # a reference: its value is in no plan, state or journal
    dns: {servers: [10.0.0.53], domain: '${local.domain}'}
    ntp: {servers: '${var.ntp_servers}'}
    vswitch:
      vSwitch0: {uplinks: [vmnic0], mtu: 1500}
      vSwitch1: {uplinks: [vmnic1], mtu: 9000}
    portgroup:
      vMotion: {vswitch: vSwitch1, vlan: 20}
    service:
      TSM-SSH: {policy: "off", running: false}

# One block, a host per key: host.esx["esx01"], host.esx["esx02"].
host:
  esx:
    for_each: {esx01: {n: 11}, esx02: {n: 12}}
    profile: compute
    name: '${each.key}.${local.domain}'
    mac: '52:54:00:00:00:${each.value.n}'   # how a machine is known before its first boot
    vmkernel:
      vmk1: {portgroup: vMotion, ip: '10.0.20.${each.value.n}', netmask: 255.255.255.0, mtu: 9000, services: [vmotion]}

output:
  cluster: {value: '${cluster.prod.name}'}
'''

BOOT_CFG = """\
bootstate=0
title=ESXi stand-in for the twin
timeout=0
prefix=
kernel=/b.b00
kernelopt=
modules=/s.v00
build=8.0.3-24022510
updated=0
"""


@app.command()
def command(name: Annotated[str, typer.Option("--name", metavar="NAME", help="The fleet's name.")] = "lab") -> int:
    """Write a starter fleet in the current folder; it plans and applies at once, on the embedded twin."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,62}", name):
        raise Usage(Diagnostic("error", "not a name for a fleet", name,
                               remedy="letters, digits, _ and -, beginning with a letter"))
    files = starter(name)
    there = [path for path in files if Path(path).exists()]
    if there:
        raise FleetError(Diagnostic("error", "there are files already; none was overwritten", ", ".join(there),
                                    remedy="use an empty folder, or move them away"))
    for path, (data, mode) in files.items():
        _write(Path(path), data, mode)
        note(f"wrote {path}")
    if not Path(".gitignore").exists():
        _write(Path(".gitignore"), b".fleet/\nsecrets/\n", 0o644)
        note("wrote .gitignore")
    emit(f"Fleet {name} is ready. Next: fleet plan fleet.yaml")
    return 0


def starter(name: str) -> Mapping[str, tuple[bytes, int]]:
    """Path → (content, mode) of all files. The root password is made up anew each time."""
    return {
        "fleet.yaml": (STARTER.replace("NAME", name).encode(), 0o644),
        "images/demo/boot.cfg": (BOOT_CFG.encode(), 0o644),
        "images/demo/mboot.efi": (b"stand-in for the boot loader\n", 0o644),
        "images/demo/b.b00": (b"stand-in for the kernel\n", 0o644),
        "images/demo/s.v00": (b"stand-in for a module\n", 0o644),
        "secrets/esx-root": (f"{secrets.token_urlsafe(15)}-Aa1\n".encode(), 0o600),
    }


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
    except OSError as error:
        raise FleetError(Diagnostic("error", "a file cannot be written", f"{path}: {error.strerror or error}",
                                    remedy="check the folder's permissions and its free space")) from error
