"""Where a host puts swap files: those of its VMs (the cluster says whether), and its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, StepFailed, Unknown
from planner.ports import Call
from planner.schema import string, strings
from providers.vsphere.tools import HostView, Tools, after

LOCAL, SYSTEM, ASKED = "config.localSwapDatastore", "config.systemSwapConfiguration.option", "swap datastore"
PLACES = {"datastore": "DatastoreOption", "host_cache": "HostCacheOption", "host_local": "HostLocalSwapOption"}
"""Our word → HostSystemSwapConfiguration's option. Its DisabledOption is the empty list."""


def ask(host: HostView, _names: frozenset[str], props: Mapping[str, Any]) -> dict[str, Any]:
    """The name of the datastore that the property refers to."""
    store = props.get(LOCAL)
    return {} if store is None else {ASKED: str(host.read(store, "name")["name"])}


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    found: dict[str, Any] = {"datastore": props.get(ASKED, "")}
    options = props.get(SYSTEM)
    if options is not None:
        words = {f"HostSystemSwapConfiguration{kind}": word for word, kind in PLACES.items()}
        kinds = [(type(each)._wsdlName, each) for each in sorted(options, key=lambda each: int(each.key))]
        found["system"] = [words[kind] for kind, _ in kinds if kind in words]
        found["system_datastore"] = next((str(e.datastore) for k, e in kinds if words.get(k) == "datastore"), "")
    return {"swap": found}


def place_vms(tools: Tools, call: Call) -> None:
    name = str(after(call).get("datastore") or "")
    store = None
    if name:
        stores = tools.read(tools.host(call), "datastore").get("datastore") or ()
        store = next((each for each, props in tools.read_all(stores, "name") if props.get("name") == name), None)
        if store is None:
            raise StepFailed("this host has no such datastore", name, "mount it on this host, or name another")
    tools.manager(call, "datastoreSystem").UpdateLocalSwapDatastore(datastore=store)


def place_system(tools: Tools, call: Call) -> None:
    """The configuration as a whole: what is not declared of it stays as live has it."""
    from pyVmomi import vim

    kinds, wanted = vim.host.SystemSwapConfiguration, after(call)
    live: dict[str, Any] = dict(read({SYSTEM: tools.read(tools.host(call), SYSTEM).get(SYSTEM) or ()},
                                     frozenset())["swap"])
    words = wanted.get("system", live["system"])
    store = str(wanted.get("system_datastore", live["system_datastore"]) or "")
    options: list[Any] = []
    for number, word in enumerate(words or ()):
        option = getattr(kinds, PLACES[str(word)])(key=number)
        if word == "datastore":
            if not store:
                raise StepFailed("the host's own swap has no datastore", str(call.address), "set `system_datastore`")
            option.datastore = store
        options.append(option)
    config = kinds(option=options or [kinds.DisabledOption(key=0)])
    tools.host(call).UpdateSystemSwapConfiguration(sysSwapConfig=config)


def validate(attributes: Attrs) -> Iterable[str]:
    system, store = attributes.get("system"), attributes.get("system_datastore")
    if isinstance(system, Unknown) or isinstance(store, Unknown):
        return
    if ("datastore" in (system if isinstance(system, list) else ())) != bool(store):
        yield "`system_datastore` goes with `datastore` in the list of `system`: set both, or neither"


SWAP = ResourceType(
    name="swap",
    doc="Where swap files go: those of the host's VMs, and its own.",
    parent="host",
    singleton=True,
    setting=True,
    order=13,
    fields={
        "datastore": string("Datastore of VMs' swap files, where their cluster says hostLocal; \"\" for none."),
        "system": strings("Where the host's own swap may go, best first; [] switches it off.", enum=tuple(PLACES)),
        "system_datastore": string("The datastore that `datastore` in that list is."),
    },
    paths=(LOCAL, SYSTEM),
    ask=ask,
    read=read,
    validate=validate,
    baseline={"swap": {"datastore": "", "system": ["host_local"], "system_datastore": ""}},
    operations=(
        Operation("swap.datastore", "HostDatastoreSystem.UpdateLocalSwapDatastore", "update",
                  "Set where VMs' swap files go.", place_vms, ("datastore",), inverse="swap.datastore",
                  privileges=("Host.Config.Storage",)),
        Operation("swap.system", "HostSystem.UpdateSystemSwapConfiguration", "update",
                  "Set where the host's own swap goes.", place_system, ("system", "system_datastore"),
                  inverse="swap.system", privileges=("Host.Config.Settings",)),
    ),
)
