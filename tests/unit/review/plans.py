"""Hand-made plans to render: a small catalogue, a new fleet, a day of changes, a plan with nothing to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.catalog import Catalog, Operation
from planner.model import (
    Action,
    Address,
    Attrs,
    Change,
    Check,
    Diagnostic,
    Drift,
    Inverse,
    Mark,
    Plan,
    SecretRef,
    Step,
    Unknown,
    Value,
)

DIGEST = "0123456789abcdef" * 4
CALLS = {
    "datacenter.create": "Folder.CreateDatacenter", "cluster.create": "Folder.CreateClusterEx",
    "cluster.update": "ClusterComputeResource.ReconfigureComputeResource_Task",
    "boot.stage": "boot files: stage", "boot.unstage": "boot files: unstage",
    "power.boot": "power on, or reset if on", "power.manual": "a person powers the machine on", "birth.wait": "birth",
    "door.enter_maintenance": "HostSystem.EnterMaintenanceMode_Task",
    "door.exit_maintenance": "HostSystem.ExitMaintenanceMode_Task",
    "door.set_password": "HostLocalAccountManager.UpdateUser",
    "host.add": "ClusterComputeResource.AddHost_Task", "host.remove": "HostSystem.Destroy_Task",
    "host.remove_dead": "HostSystem.Destroy_Task",
    "host.reconnect": "HostSystem.ReconnectHost_Task", "host.verify": "read back",
    "host.enter_maintenance": "HostSystem.EnterMaintenanceMode_Task",
    "host.exit_maintenance": "HostSystem.ExitMaintenanceMode_Task",
    "vswitch.add": "HostNetworkSystem.AddVirtualSwitch", "vswitch.remove": "HostNetworkSystem.RemoveVirtualSwitch",
    "vswitch.update": "HostNetworkSystem.UpdateVirtualSwitch",
    "portgroup.add": "HostNetworkSystem.AddPortGroup", "portgroup.remove": "HostNetworkSystem.RemovePortGroup",
    "portgroup.update": "HostNetworkSystem.UpdatePortGroup",
    "vmkernel.add": "HostNetworkSystem.AddVirtualNic", "vmkernel.remove": "HostNetworkSystem.RemoveVirtualNic",
    "dns.update": "HostNetworkSystem.UpdateDnsConfig",
}
KINDS: dict[str, Any] = {"boot.stage": "boot", "power.boot": "boot", "power.manual": "manual", "birth.wait": "wait",
                         "host.verify": "verify"}
ESX = {key: Address("host", "esx", key) for key in ("esx01", "esx02", "esx03", "esx04")}


def catalog() -> Catalog:
    def never(_session: Any, _call: Any) -> None:
        raise AssertionError("a review calls nothing")

    acts = [
        Operation(name, call, "act", "switch the machine on, booting from the network" if "manual" in name else name,
                  never, irreversible="a test", kind=KINDS.get(name, "call"), timeout=1200.0,
                  provider="power" if name.startswith("power") else "vsphere")
        for name, call in CALLS.items()
    ]
    return Catalog.of([], acts)


class Steps:
    """Builds a chain of steps; each needs the one before on the same root."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(self, address: Address, operation: str, before: Attrs | None, after: Attrs | None, *, undo: str = "",
            needs: tuple[str, ...] = (), **more: Any) -> str:
        last = [s.id for s in self.steps if s.address.root == address.root][-1:]
        inverse = Inverse(undo, after, before, more.get("disruptive", "")) if undo else None
        name = f"s{len(self.steps) + 1:04}"
        self.steps.append(Step(name, address, operation, before, after, (*last, *needs), inverse=inverse,
                               kind=KINDS.get(operation, "call"), **more))
        return name


def _plan(**more: Any) -> Plan:
    base = Plan(
        fleet="lab", tool="fleet 0.1.0", lineage="", serial=0, instance="5a1c0d4e-0000-4000-8000-000000000001",
        config_digest=DIGEST, live_digests={}, image_digests={"esxi8": DIGEST[::-1]}, drift=(), changes=(), steps=(),
        created="2026-11-22T15:00:00Z", by="alice@ws1", source="lab.yaml",
    )
    return replace(base, **more)


def nothing() -> Plan:
    return _plan(lineage="9f1c", serial=4, unmanaged=('host.esx["esx01"].portgroup["VM Network"]', "dc0/other"))


def offline() -> Plan:
    """Planned from state alone."""
    return replace(day(), refreshed=False, drift=(), diagnostics=(), checks=(), unmanaged=())


# --- a new fleet ------------------------------------------------------------------------------------------


def _born(steps: Steps, key: str, cluster: str, number: int) -> tuple[Change, ...]:
    host = ESX[key]
    name = f"{key}.lab.example"
    attributes: dict[str, Value] = {
        "name": name, "mac": f"52:54:00:00:00:{number}", "cluster": "cluster.prod", "image": "esxi8",
        "root_password": SecretRef("env:ESX_ROOT_PASSWORD"), "force": False,
    }
    vswitch, portgroup = host.under("vswitch", "vSwitch1"), host.under("portgroup", "vMotion")
    vmk, dns = host.under("vmkernel", "vmk1"), host.under("dns")
    steps.add(host, "boot.stage", {"staged": None}, {"staged": DIGEST[::-1]}, undo="boot.unstage")
    if key == "esx03":
        steps.add(host, "power.manual", None, None, irreversible="a machine that was started stays on")
    else:
        steps.add(host, "power.boot", None, None, irreversible="a machine that was started stays on")
    steps.add(host, "birth.wait", None, None, irreversible="a boot cannot be undone")
    steps.add(host, "door.enter_maintenance", {"door_maintenance": False}, {"door_maintenance": True},
              undo="door.exit_maintenance")
    steps.add(host, "door.set_password", {"password": "initial"}, {"password": "set"},
              irreversible="the password before is not known")
    steps.add(host, "host.add", None, attributes, undo="host.remove", needs=(cluster,))
    if key == "esx01":  # the first host also shrinks an MTU, so that its program has a shape of its own
        steps.add(host.under("vswitch", "vSwitch0"), "vswitch.update", {"mtu": 1500}, {"mtu": 1400}, assumed=True,
                  undo="vswitch.update", disruptive="may cut management: vmk0's uplink")
    steps.add(dns, "dns.update", {"servers": []}, {"servers": ["10.0.0.53"]}, undo="dns.update", assumed=True)
    steps.add(vswitch, "vswitch.add", None, {"uplinks": ["vmnic1"], "mtu": 9000}, undo="vswitch.remove")
    steps.add(portgroup, "portgroup.add", None, {"vswitch": "vSwitch1", "vlan": 20}, undo="portgroup.remove")
    steps.add(vmk, "vmkernel.add", None, {"portgroup": "vMotion", "ip": f"10.0.20.{number}",
                                          "netmask": "255.255.255.0", "mtu": 9000, "services": ["vmotion"]},
              undo="vmkernel.remove")
    steps.add(host, "host.verify", None, None)
    steps.add(host, "host.exit_maintenance", {"in_maintenance": True}, {"in_maintenance": False},
              undo="host.enter_maintenance")
    first = (Change(host.under("vswitch", "vSwitch0"), Action.UPDATE, {"mtu": 1500}, {"mtu": 1400}, adopted=True,
                    assumed=True),) if key == "esx01" else (
        Change(host.under("vswitch", "vSwitch0"), Action.NOOP, {"mtu": 1500}, {"mtu": 1500},
               reason="exists already: adopted", adopted=True),)
    return (
        Change(host, Action.CREATE, None, attributes, ("uuid",)), *first,
        Change(dns, Action.UPDATE, {"servers": [], "domain": Unknown("read after birth")},
               {"servers": ["10.0.0.53"], "domain": Unknown("read after birth")}, adopted=True, assumed=True),
        Change(vswitch, Action.CREATE, None, {"uplinks": ["vmnic1"], "mtu": 9000}),
        Change(portgroup, Action.CREATE, None, {"vswitch": "vSwitch1", "vlan": 20}),
        Change(vmk, Action.CREATE, None, {"portgroup": "vMotion", "ip": f"10.0.20.{number}", "mtu": 9000,
                                          "netmask": "255.255.255.0", "services": ["vmotion"]}),
    )


def new_fleet() -> Plan:
    """Four new hosts: two of them alike, one of its own, one that a person has to power on."""
    steps = Steps()
    dc, cluster = Address("datacenter", "dc0"), Address("cluster", "prod")
    drs: dict[str, Value] = {"enabled": True, "automation": "fullyAutomated"}
    made = steps.add(dc, "datacenter.create", None, {"name": "dc0"}, undo="datacenter.delete")
    made = steps.add(cluster, "cluster.create", None, {"name": "prod", "datacenter": "datacenter.dc0", "drs": drs},
                     undo="cluster.delete", needs=(made,))
    changes = [Change(dc, Action.CREATE, None, {"name": "dc0"}),
               Change(cluster, Action.CREATE, None, {"name": "prod", "datacenter": "datacenter.dc0", "drs": drs})]
    for number, key in enumerate(ESX, 11):
        changes += _born(steps, key, made, number)
    return _plan(changes=tuple(changes), steps=tuple(steps.steps), checks=(
        Check("two hosts", True, "there must be two hosts"), Check("address", None, "known after the birth")))


# --- a day of changes -------------------------------------------------------------------------------------


def day() -> Plan:
    """Drift, an update that may cut management, a deletion, a replacement, a forget, a reborn and a blocked host."""
    steps = Steps()
    one, two, three, four = ESX.values()
    vswitch, group = one.under("vswitch", "vSwitch0"), one.under("portgroup", "Backup | old")
    steps.add(vswitch, "vswitch.update", {"uplinks": ["vmnic0"], "mtu": 1500},
              {"uplinks": ["vmnic0", "vmnic2"], "mtu": 9000}, undo="vswitch.update",
              disruptive="may cut management: vmk0's uplink")
    steps.add(group, "portgroup.remove", {"vswitch": "vSwitch1", "vlan": 30}, None, undo="portgroup.add")
    steps.add(two, "host.reconnect", {"connection": "notResponding"}, {"connection": "connected"},
              when="not-connected", irreversible="it stays connected")
    steps.add(two.under("vswitch", "vSwitch1"), "vswitch.add", None, {"uplinks": ["vmnic1"], "mtu": 9000},
              undo="vswitch.remove")
    steps.add(three, "host.remove_dead", {"name": "esx03.lab.example"}, None,
              irreversible="vCenter forgets its statistics, alarms and permissions")
    cluster = Address("cluster", "prod")
    return _plan(
        lineage="9f1c", serial=4, steps=tuple(steps.steps),
        options={"targets": ["host.esx", "cluster.prod"], "variables": {"token": "s3cret"}},
        drift=(Drift(vswitch, "mtu", 9000, 1500), Drift(one.under("ntp"), "servers", ["a"], ["b"], True),
               Drift(group, "", "present", "absent", True)),
        changes=(
            Change(vswitch, Action.UPDATE, {"uplinks": ["vmnic0"], "mtu": 1500},
                   {"uplinks": ["vmnic0", "vmnic2"], "mtu": 9000}),
            Change(group, Action.DELETE, {"vswitch": "vSwitch1", "vlan": 30}, None, reason="no longer declared"),
            Change(one.under("dns"), Action.FORGET, {"servers": []}, None, reason="was adopted: stays as it is"),
            Change(two, Action.NOOP, {}, {}, reborn=True),
            Change(two.under("vswitch", "vSwitch1"), Action.CREATE, None, {"uplinks": ["vmnic1"], "mtu": 9000},
                   reborn=True),
            Change(three, Action.REPLACE, {"name": "esx03.lab.example", "mac": "52:54:00:00:00:13"},
                   {"name": "esx03.lab.example", "mac": "52:54:00:00:00:93"}, ("uuid",), "asked for by --replace"),
            Change(four, Action.NOOP, {}, {}, reason="blocked: disconnected by a person"),
            Change(cluster, Action.UPDATE, {"drs": {"enabled": True, "automation": "manual"}, "password":
                                            SecretRef("env:OLD")},
                   {"drs": {"enabled": True, "automation": "fullyAutomated"}, "password": SecretRef("env:NEW")}),
        ),
        unmanaged=(str(one.under("portgroup", "VM Network")), str(one.under("vmkernel", "vmk7")), "dc0/vm/\x1b[2Jold"),
        checks=(Check("uplinks", False, "every vSwitch needs two uplinks"),),
        diagnostics=(
            Diagnostic("warning", "nothing is planned for this host", "disconnected by a person",
                       Mark("lab.yaml", 40, 3), four, "connect it in vCenter, or take it out of the fleet"),
        ),
    )
