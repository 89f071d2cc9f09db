"""Advanced options of a host, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic, StepFailed, Unknown
from planner.ports import Call
from planner.schema import Field
from providers.vsphere.tools import Tools, after, plain

PATH = "config.option"
DEFINITIONS = "config.optionDef"
"""What each option takes. Read by key only: as a whole they are 400 KB a host."""


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    takes = {each.key: limits(each.optionType) for each in props.get(DEFINITIONS) or () if each.key in wanted}
    return {each.key: {"value": plain(each.value), **({"takes": takes[each.key]} if each.key in takes else {})}
            for each in props.get(PATH) or () if each.key in wanted}


def limits(kind: Any) -> dict[str, Any]:
    """What an OptionType says of values: `readonly`, `minimum`, `maximum`, `choices`; only what is said."""
    found: dict[str, Any] = {}
    if kind.valueIsReadonly:
        found["readonly"] = True
    if hasattr(kind, "min"):
        found |= {"minimum": plain(kind.min), "maximum": plain(kind.max)}
    if hasattr(kind, "choiceInfo"):
        found["choices"] = [str(each.key) for each in kind.choiceInfo or ()]
    return found


def query(manager: Any, key: str) -> Any:
    """The live OptionValue of one key; None where the host has no such option."""
    from pyVmomi import vim

    try:
        found: Sequence[Any] = manager.QueryOptions(name=key)
    except vim.fault.InvalidName:
        return None
    return next((each for each in found or () if each.key == key), None)


def write(tools: Tools, call: Call, values: Mapping[str, Any]) -> None:
    """Set options in one call, in the types that they have live: the API refuses an int where it wants a long."""
    from pyVmomi import vim

    manager = tools.manager(call, "advancedOption")
    typed = []
    for key, value in values.items():
        live = query(manager, key)
        if live is None:
            raise StepFailed("this host has no such option", key, "check the key: `fleet drift` shows what a host has")
        typed.append(vim.option.OptionValue(key=key, value=coerce(key, value, live.value)))
    manager.UpdateOptions(changedValue=typed)


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
    """A value of another type than the live one would differ for ever; one that the host does not take would fail."""
    for change in changes:
        name, found = change.address.name, existing.get(change.address.name, {})
        live, wanted = found.get("value"), (change.after or {}).get("value")
        if live is None or wanted is None or isinstance(live, Unknown) or isinstance(wanted, Unknown):
            continue
        try:
            coerce(name, wanted, live)
        except StepFailed as wrong:
            yield Diagnostic("error", wrong.summary, wrong.detail, address=change.address, remedy=wrong.remedy)
            continue
        takes = found.get("takes")
        why = refused(wanted, takes) if change.action is Action.UPDATE and isinstance(takes, Mapping) else ("", "")
        if why[0]:
            yield Diagnostic("error", "the host does not take this value of an option", f"{name}: {why[0]}",
                             address=change.address, remedy=why[1])


def refused(value: Any, takes: Mapping[str, Any]) -> tuple[str, str]:
    """Why an option's definition refuses a value, and what to do; empty where it does not."""
    if takes.get("readonly"):
        return "it can only be read", "remove it from the file"
    choices = takes.get("choices")
    if choices and value not in choices:
        return f"{value!r} is none of its choices", f"write one of: {', '.join(choices)}"
    low, high = takes.get("minimum"), takes.get("maximum")
    if low is not None and high is not None and not isinstance(value, str) and not low <= value <= high:
        return f"{value} is not between {low} and {high}", f"allowed: {low} to {high}"
    return "", ""


def set_option(tools: Tools, call: Call) -> None:
    write(tools, call, {call.address.name: after(call)["value"]})


OPTION = ResourceType(
    name="option",
    doc="An advanced option of the host.",
    parent="host",
    setting=True,
    shorthand="value",
    order=13,
    fields={"value": Field("scalar", "Its value: text, a number, or true and false, as the host has it.",
                           required=True),
            "takes": Field("map", "What the host takes: minimum and maximum, choices, readonly.", computed=True,
                            observed=False)},
    label_doc="the option's key: UserVars.SuppressShellWarning, …",
    paths=(PATH, DEFINITIONS),
    read=read,
    keys=lambda names: {PATH: names, DEFINITIONS: names},
    check=check,
    baseline={"UserVars.SuppressShellWarning": {"value": 0}, "*": {"value": Unknown("read after birth")}},
    operations=(
        Operation("option.set", "OptionManager.UpdateOptions", "update", "Set the option.", set_option, ("value",),
                  inverse="option.set", privileges=("Host.Config.Settings",)),
    ),
    tested=("twin", "vcsim", "recording"),
)
