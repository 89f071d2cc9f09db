"""Groups of a cluster's hosts and of its VMs, for DRS rules: roots, because a group of hosts names hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Address, Attrs, StepFailed
from planner.ports import Call
from planner.schema import Field, reference, strings
from providers.vsphere.tools import Tools, after, pick, unquoted

CONFIG = "configurationEx"
EDIT = ("Host.Inventory.EditCluster",)
RECONFIGURE = "ClusterComputeResource.ReconfigureComputeResource_Task"


# --- reading ----------------------------------------------------------------------------------------------


class Clusters:
    """Their configurations, each read once for one reading of live."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self._configs: dict[str, Any] = {}

    def config(self, cluster: Any) -> Any:
        """configurationEx of a cluster by its address as text; None where live has none."""
        text = str(cluster or "")
        if text not in self._configs:
            found = self.tools.find(Address.parse(text), None) if text and not text.startswith("path:") else None
            self._configs[text] = self.tools.read(found, CONFIG).get(CONFIG) if found is not None else None
        return self._configs[text]

    def first(self, address: Address, said: Sequence[Attrs], items: str, kinds: tuple[str, ...],
              ) -> tuple[Any, str] | None:
        """The group or rule of that name and kind, with its cluster: by what is recorded, then by what is declared."""
        for attributes in said:
            found = pick(getattr(self.config(attributes.get("cluster")), items, None),
                         str(attributes.get("name") or address.name))
            if found is not None and type(found)._wsdlName in kinds:
                return found, str(attributes["cluster"])
        return None


def _look(kind: str, members: Callable[[Tools, Any], Attrs]) -> Any:
    """What looks for groups of one kind. `members`: the attributes that the group's own members give."""
    def look(tools: Tools, wanted: Mapping[Address, Sequence[Attrs]]) -> dict[Address, Attrs]:
        clusters = Clusters(tools)
        found: dict[Address, Attrs] = {}
        for address, said in wanted.items():
            group = clusters.first(address, said, "group", (kind,))
            if group is not None:
                found[address] = {"name": group[0].name, "cluster": group[1], **members(tools, group[0])}
        return found

    return look


def _hosts(tools: Tools, group: Any) -> Attrs:
    names = tools.references(group.host or ())
    return {"hosts": sorted(names.get(h._moId, h._moId) for h in group.host or ())}


def _vms(tools: Tools, group: Any) -> Attrs:
    return {"vms": [*vm_names(tools, group.vm)]}


def vm_names(tools: Tools, machines: Iterable[Any] | None) -> list[str]:
    return sorted(unquoted(str(p.get("name", obj._moId))) for obj, p in tools.read_all(list(machines or ()), "name"))


# --- changing ---------------------------------------------------------------------------------------------


def cluster_of(tools: Tools, call: Call) -> Any:
    said = {**call.declared, **(call.before or {}), **after(call)}
    return tools.entity(said.get("cluster"), call)


def name_of(call: Call) -> str:
    said = {**call.declared, **(call.before or {}), **after(call)}
    return str(said.get("name") or call.address.name)


def reconfigure(tools: Tools, call: Call, cluster: Any, **spec: Any) -> None:
    from pyVmomi import vim

    wanted = vim.cluster.ConfigSpecEx(**spec)
    tools.wait(cluster.ReconfigureComputeResource_Task(spec=wanted, modify=True), call)


def find_hosts(tools: Tools, call: Call, cluster: Any) -> list[Any]:
    """HostSystems by reference; those that nobody declared ("path:NAME", in a before-image) by name."""
    rows = tools.read_all(tools.read(cluster, "host").get("host") or (), "name")
    by_name = {str(p.get("name")): obj for obj, p in rows}
    inside = {obj._moId for obj, _ in rows}
    found = []
    for text in map(str, after(call).get("hosts") or ()):  # type: ignore[arg-type]
        host = by_name.get(text.removeprefix("path:")) if text.startswith("path:") else tools.entity(text, call)
        if host is None or host._moId not in inside:
            raise StepFailed("this host is not in the group's cluster", text.removeprefix("path:"),
                             "a group takes hosts of its own cluster only: plan again")
        found.append(host)
    return found


def find_vms(tools: Tools, call: Call, cluster: Any) -> list[Any]:
    """VirtualMachines of the cluster, by name. Raises StepFailed naming what is missing, or there twice."""
    wanted = [str(each) for each in after(call).get("vms") or ()]  # type: ignore[union-attr]
    hosts = tools.read_all(tools.read(cluster, "host").get("host") or (), "vm")
    machines = [vm for _, p in hosts for vm in p.get("vm") or ()]
    by_name: dict[str, list[Any]] = {}
    for obj, p in tools.read_all(machines, "name") if wanted and machines else ():
        by_name.setdefault(unquoted(str(p.get("name"))), []).append(obj)
    missing = [name for name in wanted if name not in by_name]
    twice = [name for name in wanted if len(by_name.get(name, ())) > 1]
    if missing:
        raise StepFailed("the cluster has no virtual machine of that name", ", ".join(missing),
                         "correct the name, or leave it out until the machine exists")
    if twice:
        raise StepFailed("several virtual machines of the cluster have one name", ", ".join(twice), "rename one")
    return [by_name[name][0] for name in wanted]


def _spec(operation: str, call: Call, kind: str = "", **members: Any) -> list[Any]:
    from pyVmomi import vim

    if not kind:
        return [vim.cluster.GroupSpec(operation=operation, removeKey=name_of(call))]
    return [vim.cluster.GroupSpec(operation=operation, info=getattr(vim.cluster, kind)(name=name_of(call), **members))]


def _set_hosts(operation: str) -> Any:
    return _set(operation, "HostGroup", "host", find_hosts)


def _set_vms(operation: str) -> Any:
    return _set(operation, "VmGroup", "vm", find_vms)


def _set(operation: str, kind: str, field: str, find: Callable[[Tools, Call, Any], list[Any]]) -> Any:
    def run(tools: Tools, call: Call) -> None:
        cluster = cluster_of(tools, call)
        members = {field: find(tools, call, cluster)}
        reconfigure(tools, call, cluster, groupSpec=_spec(operation, call, kind, **members))

    return run


def remove(tools: Tools, call: Call) -> None:
    reconfigure(tools, call, cluster_of(tools, call), groupSpec=_spec("remove", call))


NAME = Field("string", "Its name in vCenter; the label where unset.", replace=True)
CLUSTER = reference("The cluster that it belongs to.", "cluster", required=True, replace=True)

HOST_GROUP = ResourceType(
    name="host_group",
    doc="A group of hosts of a cluster, for DRS rules.",
    order=3,
    fields={
        "name": NAME,
        "cluster": CLUSTER,
        "hosts": Field("list", "Its hosts.", required=True, unordered=True, items=reference("A host.", "host")),
    },
    alike={"hosts": "cluster"},
    look=_look("ClusterHostGroup", _hosts),
    operations=(
        Operation("host_group.add", RECONFIGURE, "create", "Add the group to its cluster.", _set_hosts("add"),
                  ("name", "cluster", "hosts"), inverse="host_group.remove", privileges=EDIT),
        Operation("host_group.update", RECONFIGURE, "update", "Set the group's hosts.", _set_hosts("edit"), ("hosts",),
                  inverse="host_group.update", privileges=EDIT),
        Operation("host_group.remove", RECONFIGURE, "delete", "Remove the group; its hosts stay.", remove,
                  inverse="host_group.add", privileges=EDIT),
    ),
    label_doc="the group's label; its name where `name` is unset",
    tested=("twin", "vcsim"),
)

VM_GROUP = ResourceType(
    name="vm_group",
    doc="A group of virtual machines of a cluster, for DRS rules.",
    order=3,
    fields={
        "name": NAME,
        "cluster": CLUSTER,
        "vms": strings("Its virtual machines, by name: they have to be in the cluster.", required=True,
                       unordered=True),
    },
    look=_look("ClusterVmGroup", _vms),
    operations=(
        Operation("vm_group.add", RECONFIGURE, "create", "Add the group to its cluster.", _set_vms("add"),
                  ("name", "cluster", "vms"), inverse="vm_group.remove", privileges=EDIT),
        Operation("vm_group.update", RECONFIGURE, "update", "Set the group's virtual machines.", _set_vms("edit"),
                  ("vms",), inverse="vm_group.update", privileges=EDIT),
        Operation("vm_group.remove", RECONFIGURE, "delete", "Remove the group; its virtual machines stay.", remove,
                  inverse="vm_group.add", privileges=EDIT),
    ),
    label_doc="the group's label; its name where `name` is unset",
    tested=("twin", "vcsim"),
)
