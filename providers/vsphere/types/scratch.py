"""Where a host keeps its scratch data. It moves there at the next reboot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic, Unknown
from planner.ports import Call
from planner.schema import computed, string
from providers.vsphere.tools import Tools, after, pick
from providers.vsphere.types import option

CONFIGURED, CURRENT = "ScratchConfig.ConfiguredScratchLocation", "ScratchConfig.CurrentScratchLocation"


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    configured = pick(props.get(option.PATH), CONFIGURED, "key")
    if configured is None:
        return {}
    current = pick(props.get(option.PATH), CURRENT, "key")
    return {"scratch": {"location": str(configured.value or ""),
                        "in_use": str(current.value or "") if current is not None else ""}}


def validate(attributes: Attrs) -> Iterable[str]:
    location = attributes.get("location")
    if isinstance(location, str) and not location.startswith("/vmfs/volumes/"):
        yield f"{location!r} is no place that lasts: write /vmfs/volumes/DATASTORE/FOLDER, a folder for each host"


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    for change in changes:
        if change.action is Action.UPDATE:
            now = existing.get("scratch", {}).get("in_use")
            used = "" if now is None or isinstance(now, Unknown) else f"; until then it stays at {now}"
            yield Diagnostic(
                "warning", "scratch moves at the next reboot, and a stateless host forgets it with that reboot",
                f"{(change.after or {}).get('location')}{used}", address=change.address,
                remedy="reboot the host in maintenance mode; on a stateless one use `syslog:` instead")


def configure(tools: Tools, call: Call) -> None:
    option.write(tools, call, {CONFIGURED: after(call)["location"]})


SCRATCH = ResourceType(
    name="scratch",
    doc="Where the host keeps scratch data (logs, dumps): in force from its next reboot on.",
    parent="host",
    singleton=True,
    setting=True,
    shorthand="location",
    order=13,
    fields={
        "location": string("A folder on a datastore: /vmfs/volumes/DATASTORE/FOLDER; each host one of its own.",
                           required=True),
        "in_use": computed("Where it is until the reboot."),
    },
    unique=("location",),
    owns={"option": (CONFIGURED,)},
    paths=(option.PATH,),
    read=read,
    keys=lambda _names: {option.PATH: frozenset({CONFIGURED, CURRENT})},
    validate=validate,
    check=check,
    baseline={"scratch": {"location": "", "in_use": Unknown("read after birth")}},
    operations=(
        Operation("scratch.set", "OptionManager.UpdateOptions", "update",
                  "Set where scratch is from the next reboot on.", configure, ("location",), inverse="scratch.set",
                  privileges=("Host.Config.Settings",)),
    ),
    tested=("twin", "recording"),
)
