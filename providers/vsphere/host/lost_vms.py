"""Virtual machines that vCenter has lost: out of its inventory, and into it again. Never their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.model import Attrs, StepFailed
from planner.ports import Call
from providers.vsphere.strays import VM_STATE, VMX
from providers.vsphere.tools import Tools, quoted, unquoted

_LOST = ("orphaned", "inaccessible")


def _about(call: Call) -> Mapping[str, Any]:
    for side in (call.before, call.after):
        found = (side or {}).get("registered")
        if isinstance(found, Mapping):
            return found
    raise StepFailed("this step names no virtual machine", str(call.address), "plan again")


def _found(tools: Tools, call: Call) -> tuple[Any, str] | None:
    """The machine on this host by its name and file, and its state. Raises StepFailed where several fit."""
    wanted = _about(call)
    rows = tools.read_all(tools.read(tools.host(call), "vm").get("vm") or (), "name", VM_STATE, VMX)
    found = [(obj, str(p.get(VM_STATE) or "")) for obj, p in rows
             if unquoted(str(p.get("name"))) == wanted["name"] and str(p.get(VMX) or "") == wanted["vmx"]]
    if len(found) > 1:
        raise StepFailed("several virtual machines of this host have one name", str(wanted["name"]),
                         "unregister the lost one by hand, then plan again")
    return found[0] if found else None


def unregister(tools: Tools, call: Call) -> None:
    found, wanted = _found(tools, call), _about(call)
    if found is None or found[1] not in _LOST:
        state = "gone" if found is None else found[1]
        raise StepFailed("this virtual machine is not lost any more", f"{wanted['name']} is {state}", "plan again")
    found[0].UnregisterVM()


def register(tools: Tools, call: Call) -> None:
    """On its host, in the folder that it was in."""
    wanted, host = _about(call), tools.host(call)
    folder = tools.entity(wanted["folder"], call)
    if type(folder)._wsdlName == "Datacenter":
        folder = tools.read(folder, "vmFolder")["vmFolder"]
    pool = tools.read(tools.read(host, "parent")["parent"], "resourcePool")["resourcePool"]
    task = folder.RegisterVM_Task(path=str(wanted["vmx"]), name=quoted(str(wanted["name"])), asTemplate=False,
                                  pool=pool, host=host)
    tools.wait(task, call)


def observe(tools: Tools, call: Call) -> Attrs:
    """Whether it is registered here. Registered again it is as good as its files: it is no longer lost."""
    found, wanted = _found(tools, call), dict(_about(call))
    if found is None:
        return {"registered": None}
    return {"registered": wanted if call.operation == "host.register_vm" else {**wanted, "state": found[1]}}
