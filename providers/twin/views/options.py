"""OptionValue and OptionDef lists of a host, typed as the API types them."""

from __future__ import annotations

from functools import cache
from typing import Any

from pyVmomi import VmomiSupport as Vm

from providers.twin import baseline
from providers.twin.core.meta import data
from providers.twin.facts.options import OptionFact, options
from providers.twin.model import HostConfig


def typed(fact: OptionFact, value: bool | int | str) -> Any:
    """A value in the type that the wire carries (xsd:long and xsd:int differ)."""
    return Vm.long(value) if fact.kind == "l" else value


def values(config: HostConfig, name: str | None = None) -> list[Any]:
    """OptionValue of every option; of those below a node (`Mem.` or `Mem`), or of one key. [] for an unknown name."""
    table = options()
    if not name:
        keys = list(table)
    elif name in table:
        keys = [name]
    else:
        prefix = name if name.endswith(".") else f"{name}."
        keys = [key for key in table if key.startswith(prefix)]
    return [value(config, key) for key in keys]


def value(config: HostConfig, key: str) -> Any:
    """OptionValue of one key; None for an unknown one."""
    fact = options().get(key)
    return None if fact is None else data("OptionValue", key=key, value=typed(fact, baseline.option(config, key)))


@cache
def definitions() -> list[Any]:
    """OptionDef of every option."""
    return [
        data("OptionDef", key=fact.key, label=fact.key.rpartition(".")[2], summary=fact.key,
             optionType=_kind(fact))
        for fact in options().values()
    ]


def _kind(fact: OptionFact) -> Any:
    readonly = fact.readonly
    if fact.kind == "b":
        return data("BoolOption", valueIsReadonly=readonly, supported=True, defaultValue=fact.default)
    if fact.kind == "s":
        return data("StringOption", valueIsReadonly=readonly, defaultValue=fact.default)
    if fact.kind == "c":
        choices = [data("ElementDescription", key=each, label=each, summary=each) for each in fact.choices]
        index = fact.choices.index(str(fact.default))
        return data("ChoiceOption", valueIsReadonly=readonly, choiceInfo=choices, defaultIndex=index)
    if fact.kind == "i":
        return data("IntOption", valueIsReadonly=readonly, min=fact.low, max=fact.high,
                    defaultValue=fact.default)
    return data("LongOption", valueIsReadonly=readonly, min=Vm.long(fact.low), max=Vm.long(fact.high),
                defaultValue=Vm.long(fact.default))


def accepts(fact: OptionFact, value: Any) -> bool:
    """Whether a real host takes this value: right type on the wire, within its limits."""
    if fact.kind == "b":
        return type(value) is bool
    if fact.kind in ("s", "c"):
        return isinstance(value, str) and (fact.kind == "s" or value in fact.choices)
    wanted = Vm.long if fact.kind == "l" else int
    return type(value) is wanted and value in range(fact.low, fact.high + 1)
