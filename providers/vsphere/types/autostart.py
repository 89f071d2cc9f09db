"""Which VMs start and stop with a host. vSphere HA takes that over: in a cluster with HA the host has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic, StepFailed, Unknown
from planner.ports import Call
from planner.schema import Field, boolean, integer, string
from providers.vsphere.tools import HostView, Tools, after

PATH, NAMES = "config.autoStart", "names of virtual machines"
DEFAULT = -1
"""Of a delay: the host's own."""
_DEFAULTS = {"start_delay": "startDelay", "stop_delay": "stopDelay", "wait_for_heartbeat": "waitForHeartbeat"}
_STOPS = {"power_off": "powerOff", "suspend": "suspend", "shut_down": "guestShutdown", "none": "none",
          "default": "systemDefault"}
_WORDS = {action.lower(): word for word, action in _STOPS.items()}  # hosts write PowerOff as well
_BEATS = {"default": "systemDefault", "yes": "yes", "no": "no"}
_SETTINGS = ("enabled", *_DEFAULTS, "stop_action")


def ask(host: HostView, _names: frozenset[str], props: Mapping[str, Any]) -> dict[str, Any]:
    """The names of the VMs on the host."""
    machines = host.read(host.obj, "vm").get("vm") or ()
    return {NAMES: {vm._moId: str(found["name"]) for vm, found in host.read_all(machines, "name")}}


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    config = props.get(PATH)
    if config is None:
        return {}
    found: dict[str, Any] = {"enabled": False, "start_delay": 120, "stop_delay": 120, "wait_for_heartbeat": False,
                             "stop_action": "power_off"}
    if config.defaults is not None:
        given = {name: getattr(config.defaults, wire) for name, wire in _DEFAULTS.items()}
        given |= {"enabled": config.defaults.enabled, "stop_action": _word(config.defaults.stopAction)}
        found |= {k: v for k, v in given.items() if v is not None}
    names = props.get(NAMES) or {}
    found["vms"] = sequence(config, names)
    found["on_host"] = sorted(names.values())
    return {"autostart": found}


def _word(action: Any) -> str | None:
    return None if action is None else _WORDS.get(str(action).lower(), str(action))


def sequence(config: Any, names: Mapping[str, str]) -> list[Any]:
    """The VMs in start order, those in no order after them, by name. Entries of VMs that are gone are none."""
    beats = {wire: word for word, wire in _BEATS.items()}
    rows = [(int(e.startOrder), names[e.key._moId], e) for e in config.powerInfo or () if e.key._moId in names]
    rows.sort(key=lambda row: (row[0] < 1, row[0] if row[0] > 0 else 0, row[1]))
    return [{"vm": name, "start": str(e.startAction).lower() == "poweron", "start_delay": int(e.startDelay),
             "stop_delay": int(e.stopDelay), "stop_action": _word(e.stopAction),
             "wait_for_heartbeat": beats.get(str(e.waitForHeartbeat), "default"), "in_order": order > 0}
            for order, name, e in rows]


def set_defaults(tools: Tools, call: Call) -> None:
    from pyVmomi import vim

    wanted = after(call)
    kinds = vim.host.AutoStartManager
    defaults = kinds.SystemDefaults(enabled=wanted.get("enabled"))
    for name, wire in _DEFAULTS.items():
        if name in wanted:
            setattr(defaults, wire, wanted[name])
    if "stop_action" in wanted:
        defaults.stopAction = _STOPS[str(wanted["stop_action"])]
    tools.manager(call, "autoStartManager").ReconfigureAutostart(spec=kinds.Config(defaults=defaults))


def set_vms(tools: Tools, call: Call) -> None:
    """The list as a whole. The API takes changes, one after the other: first out with what is not in it any more (both
    actions none), then each to its place."""
    from pyVmomi import vim

    machines = tools.read(tools.host(call), "vm").get("vm") or ()
    by_name: dict[str, list[Any]] = {}
    for vm, props in tools.read_all(machines, "name"):
        by_name.setdefault(str(props.get("name")), []).append(vm)
    config = tools.read(tools.host(call), PATH).get(PATH)
    items: list[Any] = list(after(call).get("vms") or ())  # type: ignore[arg-type]
    kept = {_only(by_name, str(item["vm"]))._moId for item in items}
    info = [_entry(each.key, {"vm": "", "start": False, "stop_action": "none"}, -1)
            for each in (config.powerInfo if config is not None else ()) or () if each.key._moId not in kept]
    place = 0
    for item in items:
        place += bool(item.get("in_order", True))
        info.append(_entry(_only(by_name, str(item["vm"])), item, place if item.get("in_order", True) else -1))
    tools.manager(call, "autoStartManager").ReconfigureAutostart(spec=vim.host.AutoStartManager.Config(powerInfo=info))


def _only(by_name: Mapping[str, Sequence[Any]], name: str) -> Any:
    found = by_name.get(name, ())
    if len(found) != 1:
        raise StepFailed("this host has no such virtual machine" if not found else
                         "this host has several virtual machines of one name", name,
                         "plan again: it was moved, removed or renamed since")
    return found[0]


def _entry(vm: Any, item: Mapping[str, Any], order: int) -> Any:
    from pyVmomi import vim

    return vim.host.AutoStartManager.AutoPowerInfo(
        key=vm, startOrder=order, startDelay=item.get("start_delay", DEFAULT),
        stopDelay=item.get("stop_delay", DEFAULT), startAction="powerOn" if item.get("start", True) else "none",
        stopAction=_STOPS[str(item.get("stop_action", "default"))],
        waitForHeartbeat=_BEATS[str(item.get("wait_for_heartbeat", "default"))])


def validate(attributes: Attrs) -> Iterable[str]:
    items = attributes.get("vms")
    if not isinstance(items, list):
        return
    rows: list[Mapping[str, Any]] = [item for item in items if isinstance(item, Mapping)]
    names = [str(item.get("vm")) for item in rows]
    for name, count in Counter(names).items():
        if count > 1:
            yield f"`vms`: {name!r} stands there {count} times"
    loose = [n for n, item in zip(names, rows, strict=True) if item.get("in_order") is False]
    if names[len(names) - len(loose):] != sorted(loose):
        yield "`vms` in no order (`in_order: false`) come last, sorted by name"
    for item in rows:
        if item.get("start") is False and item.get("stop_action") == "none":
            yield f"`vms`: {item.get('vm')!r} neither starts nor stops with the host: leave it out"


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    live = existing.get("autostart", {})
    for change in changes:
        wanted = change.after or {}
        items, known = wanted.get("vms"), live.get("on_host")
        if not isinstance(items, list) or not isinstance(known, list) or isinstance(items, Unknown):
            continue
        count = Counter(map(str, known))
        for name in (str(item["vm"]) for item in items if isinstance(item, Mapping)):
            if count[name] != 1:
                yield Diagnostic("error", "autostart names what this host does not have",
                                 f"{name!r}: " + ("no virtual machine" if not count[name] else
                                                  f"{count[name]} virtual machines") + " of that name on it",
                                 address=change.address, remedy="write the name of one VM that is registered there")


def around(change: Change, roots: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    """vSphere HA disables autostart on the hosts of its cluster (ReconfigureAutostart fails there)."""
    cluster = roots.get("cluster", {})
    ha = cluster.get("ha")
    if change.action is Action.UPDATE and isinstance(ha, Mapping) and ha.get("enabled") is True:
        yield Diagnostic(
            "error", "autostart is not available in a cluster with vSphere HA",
            f"cluster {cluster.get('name')} has HA, or gets it by this plan: HA starts VMs there, and hosts have no "
            "autostart of their own", address=change.address,
            remedy="remove `autostart:` (HA has restart priorities), or declare the cluster's `ha: {enabled: false}`")


_STOP_WORDS = tuple(w for w in _STOPS if w != "default")
AUTOSTART = ResourceType(
    name="autostart",
    doc="Which VMs start and stop with the host.",
    parent="host",
    singleton=True,
    setting=True,
    order=15,
    fields={
        "enabled": boolean("Whether the host starts and stops VMs by itself.", default=True, always=True),
        "start_delay": integer("Seconds before the next VM is started.", minimum=0),
        "stop_delay": integer("Seconds before the next VM is stopped.", minimum=0),
        "wait_for_heartbeat": boolean("Whether a VM's heartbeat lets the next one start earlier."),
        "stop_action": string("How VMs are stopped.", enum=_STOP_WORDS),
        "vms": Field("list", "The VMs, in start order: all of them, no others start.", items=Field(
            "object", "One VM.", fields={
                "vm": string("Its name on this host.", required=True),
                "start": boolean("Whether it is started.", default=True, always=True),
                "in_order": boolean("Whether it has a place in the order; those without one come last.", default=True,
                                    always=True),
                "start_delay": integer("Seconds before the next one; -1: the host's own.", default=DEFAULT, always=True,
                                       minimum=-1),
                "stop_delay": integer("The same for stopping.", default=DEFAULT, always=True, minimum=-1),
                "stop_action": string("How it is stopped.", default="default", always=True, enum=tuple(_STOPS)),
                "wait_for_heartbeat": string("Whether its heartbeat lets the next one start earlier.",
                                             default="default", always=True, enum=tuple(_BEATS)),
            })),
        "on_host": Field("list", "The VMs on the host.", items=string("A VM."), computed=True, observed=False),
    },
    paths=(PATH,),
    ask=ask,
    read=read,
    validate=validate,
    check=check,
    around=around,
    baseline={"autostart": {"enabled": False, "start_delay": 120, "stop_delay": 120, "wait_for_heartbeat": False,
                            "stop_action": "power_off"}},
    operations=(
        Operation("autostart.defaults", "HostAutoStartManager.ReconfigureAutostart", "update",
                  "Set whether and how VMs start and stop with the host.", set_defaults, _SETTINGS,
                  inverse="autostart.defaults", privileges=("Host.Config.AutoStart",)),
        Operation("autostart.vms", "HostAutoStartManager.ReconfigureAutostart", "update",
                  "Set which VMs start, and in what order.", set_vms, ("vms",), inverse="autostart.vms",
                  privileges=("Host.Config.AutoStart",)),
    ),
    tested=("twin", "recording"),
)
