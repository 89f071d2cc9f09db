"""Membership, connection and maintenance mode of a host, through vCenter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from planner.model import Attrs, ReadFailed, StepFailed
from planner.ports import Call
from providers.vsphere.host.program import JITTER, moment
from providers.vsphere.host.secrets import root_password
from providers.vsphere.tools import Tools, after

UUID, STATE = "summary.hardware.uuid", "runtime.connectionState"
MAINTENANCE, BOOTED = "runtime.inMaintenanceMode", "runtime.bootTime"


class HostTools(Tools, Protocol):
    """What a vSphere session lends to these operations beyond `Tools`."""

    def live_host(self, call: Call) -> Attrs | None:
        """A host's attributes and status as vCenter shows it; None where vCenter does not know it."""

    def forget(self, address: Any) -> None:
        """What was known about this address is void."""

    def restarting(self, root: Any) -> None:
        """This session has restarted that host: whoever waits for its birth need not press its button."""


def add(tools: HostTools, call: Call) -> Attrs:
    wanted = {**call.declared, **after(call)}
    cluster = tools.entity(wanted.get("cluster"), call)
    spec = _connect_spec(call, str(wanted["name"]), force=bool(wanted.get("force")))
    host = tools.wait(cluster.AddHost_Task(spec=spec, asConnected=True), call) or tools.find(call.address, call)
    tools.keep(call.address, host)
    return {"id": str(host._moId), **_facts(tools, host), **_joined(call)}


def _connect_spec(call: Call, name: str, *, force: bool) -> Any:
    """HostConnectSpec by the certificate that the birth brought: never trust on first use."""
    from pyVmomi import vim

    from providers.vsphere.connect import thumbprint

    certificate = str(call.facts.get("certificate") or "")
    if not certificate:
        raise StepFailed("no birth of this host is known", "there is no certificate to check it by",
                         "power-cycle the host with its boot files staged, so that its birth is accepted")
    return vim.host.ConnectSpec(hostName=name, port=443, sslThumbprint=thumbprint(certificate, "sha1"),
                                userName="root", password=root_password(call), force=force)


def _facts(tools: Tools, host: Any) -> Attrs:
    found = tools.read(host, UUID, BOOTED)
    booted = found.get(BOOTED)
    return {"uuid": str(found.get(UUID) or ""), "boot_time": utc(booted) if booted else ""}


def utc(when: Any) -> str:
    """A pyVmomi dateTime as ISO 8601, UTC."""
    from datetime import UTC

    return str(when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def remove(tools: HostTools, call: Call) -> Attrs:
    host = tools.host(call)
    found = tools.read(host, MAINTENANCE, "vm", "parent")
    if not found.get(MAINTENANCE):
        raise StepFailed("a host is removed only in maintenance mode", call.address.name, "plan again")
    _refuse_standalone(call, found)
    _refuse_vms(tools, found)
    facts = _certificate(tools, host)
    tools.wait(host.Destroy_Task(), call)
    tools.forget(call.address)
    return facts


def _certificate(tools: Tools, host: Any) -> Attrs:
    """The certificate that the host shows now, for adding it again: vCenter's CA may have replaced the birth's."""
    from pyVmomi import vmodl

    from providers.vsphere.connect import thumbprint

    try:
        found = tools.read(host, "config.certificate").get("config.certificate")
    except vmodl.MethodFault:  # not every server tells: the birth's certificate has to do
        return {}
    if not found:
        return {}
    pem = bytes(b & 0xFF for b in found).decode("ascii", "replace")
    return {"certificate": pem, "thumbprint": thumbprint(pem)} if "BEGIN CERTIFICATE" in pem else {}


def remove_dead(tools: HostTools, call: Call) -> None:
    """Its VMs leave vCenter with it (never their disks): the plan's warning names them."""
    host = tools.host(call)
    found = tools.read(host, STATE, "parent")
    if str(found.get(STATE)) == "connected":
        raise StepFailed("this host answers again", call.address.name, "plan again")
    _refuse_standalone(call, found)
    tools.wait(host.Destroy_Task(), call)
    tools.forget(call.address)


def _refuse_standalone(call: Call, found: Mapping[str, Any]) -> None:
    if type(found["parent"])._wsdlName != "ClusterComputeResource":
        raise StepFailed("a standalone host cannot be removed in this version", call.address.name)


def _refuse_vms(tools: Tools, found: Mapping[str, Any]) -> None:
    if found.get("vm"):
        names = sorted(str(p.get("name")) for _, p in tools.read_all(found["vm"], "name"))
        raise StepFailed("virtual machines are registered on this host", ", ".join(names[:10]),
                         "move or unregister them, then plan again")


def disconnect(tools: HostTools, call: Call) -> None:
    tools.wait(tools.host(call).DisconnectHost_Task(), call)


def reconnect(tools: HostTools, call: Call) -> Attrs:
    """With syncState: meant for stateless hosts, keeps statistics and re-registers orphaned VMs (vSphere API)."""
    from pyVmomi import vim

    host = tools.host(call)
    found = tools.read(host, "name", UUID)
    known, born = str(found.get(UUID) or ""), str(call.facts.get("uuid") or "")
    if known and born and known.lower() != born.lower():
        raise StepFailed("another machine was born than the one that vCenter knows",
                         f"hardware UUID {born}, vCenter has {known}", f"plan again with --replace '{call.address}'")
    name = str(call.declared.get("name") or found["name"])
    spec = _connect_spec(call, name, force=bool(call.declared.get("force")))
    try:
        tools.wait(host.ReconnectHost_Task(cnxSpec=spec, reconnectSpec=vim.HostSystem.ReconnectSpec(syncState=True)),
                   call)
    except StepFailed as failed:
        if "UnrecognizedHost" in str(failed):  # mostly as the cause of a HostConnectFault
            raise unrecognized(tools, call, host) from failed
        raise
    return {**_facts(tools, host), **_joined(call)}


def _joined(call: Call) -> Attrs:
    """By which birth vCenter has the host: a later one says that it has lost it since."""
    born = call.facts.get("born")
    return {"joined": born} if born else {}


def unrecognized(tools: Tools, call: Call, host: Any) -> StepFailed:
    """vCenter takes the reborn host for another one. The way out loses things: they are named."""
    vms = [str(p.get("name")) for _, p in tools.read_all(tools.read(host, "vm").get("vm") or (), "name")]
    lost = "its statistics, alarms and permissions" + (f", and the VMs {', '.join(sorted(vms))}" if vms else "")
    return StepFailed("vCenter does not recognise the reborn host (UnrecognizedHost)",
                      f"adding it anew would lose {lost}", f"plan again with --replace '{call.address}'")


def enter_maintenance(tools: HostTools, call: Call) -> None:
    host = tools.host(call)
    try:
        tools.wait(host.EnterMaintenanceMode_Task(timeout=int(_left(tools, call)), evacuatePoweredOffVms=False), call)
    except StepFailed as failed:
        if "Timedout" in failed.summary:  # then it did not enter, and the same call would wait as long again
            raise _stayed(tools, host, failed) from failed
        raise


def _stayed(tools: Tools, host: Any, failed: StepFailed) -> StepFailed:
    """Which VMs kept the host from entering maintenance mode."""
    found = tools.read_all(tools.read(host, "vm").get("vm") or (), "name", "runtime.powerState")
    names = sorted(str(p.get("name")) for _, p in found if str(p.get("runtime.powerState")) == "poweredOn")
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return StepFailed("virtual machines did not leave this host in time",
                      f"{', '.join(names[:10]) or 'vCenter names none'}{more}; {failed.detail}",
                      "move them or power them off, and `fleet resume`; what has moved stays where it is")


def evacuate(tools: HostTools, call: Call) -> None:
    """Enter maintenance mode, as the only host of its cluster that is out. Raises StepFailed where another one is."""
    host = tools.host(call)
    mates = tools.read(tools.read(host, "parent")["parent"], "host").get("host") or ()
    rows = tools.read_all([m for m in mates if m._moId != host._moId], "name", STATE, MAINTENANCE)
    out = sorted(str(p.get("name")) for _, p in rows if p.get(MAINTENANCE) or str(p.get(STATE)) != "connected")
    if out:
        raise StepFailed("another host of its cluster is out", ", ".join(out[:10]), "one host of a cluster is out at a "
                         "time while images are changed: bring it back (end its maintenance mode), then `fleet resume`")
    enter_maintenance(tools, call)


def reboot(tools: HostTools, call: Call) -> None:
    """Never `force`: it is in maintenance mode by now."""
    from providers.vsphere.link import NETWORK

    try:
        tools.wait(tools.host(call).RebootHost_Task(force=False), call)
    except NETWORK:  # no answer: it may be on its way
        tools.restarting(call.address.root)
        raise
    tools.restarting(call.address.root)


def exit_maintenance(tools: HostTools, call: Call) -> None:
    tools.wait(tools.host(call).ExitMaintenanceMode_Task(timeout=int(_left(tools, call))), call)


def _left(tools: Any, call: Call) -> float:
    """Seconds until the deadline: vCenter gives up at about the same time as we do."""
    return float(max(30.0, call.deadline - tools.now()))


def move(tools: HostTools, call: Call) -> None:
    cluster = tools.entity(after(call)["cluster"], call)
    tools.wait(cluster.MoveInto_Task(host=[tools.host(call)]), call)


def verify(tools: HostTools, call: Call) -> None:
    raise StepFailed("host.verify makes no call", "the executor reads the host back itself")


# --- what steps change, read back ---------------------------------------------------------------------------


def observe_host(tools: HostTools, call: Call) -> Attrs | None:
    found = tools.live_host(call)
    return {**found, **_joined(call)} if found is not None and found["connection"] == "connected" else found


def _status(tools: HostTools, call: Call) -> Attrs:
    found = tools.live_host(call)
    if found is None:
        raise ReadFailed("vCenter does not know this host", call.address.name)
    return found


def observe_maintenance(tools: HostTools, call: Call) -> Attrs:
    return {"in_maintenance": _status(tools, call)["in_maintenance"]}


def observe_rebooted(tools: HostTools, call: Call) -> Attrs:
    """Whether the boot that the run found is over: vCenter has lost the host, or shows a later one."""
    found = _status(tools, call)
    now, then = moment(found["boot_time"]), moment(call.facts.get("boot_time"))
    later = now is not None and then is not None and (now - then).total_seconds() > JITTER
    return {"rebooted": found["connection"] != "connected" or later}


def observe_disconnected(tools: HostTools, call: Call) -> Attrs:
    """A connection that vCenter lost by itself is as good as disconnected."""
    connected = _status(tools, call)["connection"] == "connected"
    return {"connection": "connected" if connected else "disconnected"}


def observe_reconnected(tools: HostTools, call: Call) -> Attrs:
    """Whatever is not connected is what reconnect starts from; the facts stand in for those of a lost reply."""
    found = _status(tools, call)
    if found["connection"] != "connected":
        return {"connection": "notResponding"}
    return {"connection": "connected", "uuid": found["uuid"], "boot_time": found["boot_time"], **_joined(call)}
