"""Advanced options of a host, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, Change, Diagnostic, StepFailed, Unknown
from planner.ports import Call
from planner.schema import Field
from providers.vsphere.tools import Tools, after, plain

PATH = "config.option"


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    return {each.key: {"value": plain(each.value)} for each in props.get(PATH) or () if each.key in wanted}


def query(manager: Any, key: str) -> Any:
    """The live OptionValue of one key; None where the host has no such option."""
    from pyVmomi import vim

    try:
        found: Sequence[Any] = manager.QueryOptions(name=key)
    except vim.fault.InvalidName:
        return None
    return next((each for each in found or () if each.key == key), None)


def write(tools: Tools, call: Call, key: str, value: Any) -> None:
    """Set one option, in the type that it has live: the API refuses an int where it wants a long."""
    from pyVmomi import vim

    manager = tools.manager(call, "advancedOption")
    live = query(manager, key)
    if live is None:
        raise StepFailed("this host has no such option", key, "check the key: `fleet drift` shows what a host has")
    typed = vim.option.OptionValue(key=key, value=coerce(key, value, live.value))
    manager.UpdateOptions(changedValue=[typed])


def coerce(key: str, value: Any, live: Any) -> Any:
    """`value` in the type of the live value. Raises StepFailed where that would change its meaning."""
    kind = type(live)
    if isinstance(live, str):
        fits = isinstance(value, str)
    elif isinstance(live, bool):
        fits = isinstance(value, bool) or value in (0, 1)
    else:
        fits = isinstance(value, (bool, int, float)) and (isinstance(live, float) or value == int(value))
    if not fits:
        words = "text" if isinstance(live, str) else "true or false" if isinstance(live, bool) else "a number"
        raise StepFailed("an option's value has the wrong type", f"{key} is {words} on this host, not {value!r}",
                         f"write {key} as {words} in the fleet file")
    return kind(value)


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    """A value of another type than the live one would differ for ever."""
    for change in changes:
        live, wanted = existing.get(change.address.name, {}).get("value"), (change.after or {}).get("value")
        if live is None or wanted is None or isinstance(live, Unknown) or isinstance(wanted, Unknown):
            continue
        try:
            coerce(change.address.name, wanted, live)
        except StepFailed as wrong:
            yield Diagnostic("error", wrong.summary, wrong.detail, address=change.address, remedy=wrong.remedy)


def set_option(tools: Tools, call: Call) -> None:
    write(tools, call, call.address.name, after(call)["value"])


OPTION = ResourceType(
    name="option",
    doc="An advanced option of the host.",
    parent="host",
    setting=True,
    shorthand="value",
    order=13,
    fields={"value": Field("scalar", "Its value: text, a number, or true and false, as the host has it.",
                           required=True)},
    label_doc="the option's key: UserVars.SuppressShellWarning, …",
    paths=(PATH,),
    read=read,
    keys=lambda names: {PATH: names},
    check=check,
    baseline={"UserVars.SuppressShellWarning": {"value": 0}, "*": {"value": Unknown("read after birth")}},
    operations=(
        Operation("option.set", "OptionManager.UpdateOptions", "update", "Set the option.", set_option, ("value",),
                  inverse="option.set", privileges=("Host.Config.Settings",)),
    ),
    tested=("twin", "vcsim"),
)
