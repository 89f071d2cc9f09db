"""The reference as Markdown: `fleet reference > fleets/REFERENCE.md`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from planner.config.reference import TWIN_ONLY, Data
from planner.review.markdown import code

HEAD = """\
# Reference

Generated from the catalogue by `fleet reference > fleets/REFERENCE.md`; a test says when it is old.

Each step of a plan is one call of the vSphere API. *Undone by* is what `fleet rollback` calls; what no call brings
back is *irreversible* and is named in the plan before anything happens. *Row* is the order: lower rows first, removals
the other way round. *Tested against*: the embedded twin; `vcsim`, VMware's own simulator; `recording`, answers of a
real vCenter 8.0.3 through the codec and the type's reader. **Twin only** says that nobody but our own twin has played
this type.
"""


def markdown(data: Data) -> str:
    """The whole page: the overview, a section per type, what other providers add, what is refused."""
    return "\n".join([HEAD, *_overview(data["types"]), *_sections(data["types"]), *_acts(data["acts"]),
                      *_refused(data["refused"])]).rstrip("\n")


def one(entry: Data) -> str:
    """The section of one type."""
    return "\n".join(_section(entry)).rstrip("\n")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a Markdown table; cells hold Markdown already."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def escape(text: str) -> str:
    """Prose of the catalogue in a cell: it may hold code spans, but no markup that breaks a table."""
    return " ".join(text.split()).replace("|", "&#124;").replace("<", "&lt;")


def _codes(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in names)


def _unique(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(escape(text) for text in texts if text))


def tested(entry: Data) -> str:
    """`twin, vcsim`, or the label of a type that only the twin plays."""
    return f"**{TWIN_ONLY}**" if entry["twin_only"] else ", ".join(entry["tested"])


def _overview(types: Sequence[Data]) -> Iterator[str]:
    yield "## All types\n"
    header = ("type", "row", "attributes", "calls", "undone by", "irreversible", "may cut or disrupt", "tested against")
    yield from table(header, ([
        f"[{code(entry['name'])}](#{entry['name']})", str(entry["row"]),
        _codes(a["name"] for a in entry["attributes"] if "." not in a["name"]), _calls(entry, "call"),
        _undone(entry), _unique(o["irreversible"] for o in entry["operations"]),
        _unique(o["disruptive"] for o in entry["operations"]), tested(entry),
    ] for entry in types))


def _calls(entry: Data, key: str) -> str:
    return _codes(dict.fromkeys(o[key] for o in entry["operations"] if o["kind"] == "call"))


def _undone(entry: Data) -> str:
    by_name = {o["name"]: o["call"] for o in entry["operations"]}
    found = (by_name.get(o["inverse"], o["inverse"]) for o in entry["operations"] if o["inverse"])
    return _codes(dict.fromkeys(call.partition(".")[2] or call for call in found))


# --- one type ---------------------------------------------------------------------------------------------


def _sections(types: Sequence[Data]) -> Iterator[str]:
    for entry in types:
        yield from _section(entry)


def _section(entry: Data) -> Iterator[str]:
    yield f"## {entry['name']}\n"
    yield f"{escape(entry['doc'])}\n"
    yield from (f"- {fact}" for fact in _facts(entry))
    yield ""
    yield from table(("attribute", "kind", "default", "takes", "what it is"), map(_attribute, entry["attributes"]))
    yield from table(("step", "call", "of", "undone by", "needs", "what reviewers are told"),
                     map(_step, entry["operations"]))


def _facts(entry: Data) -> Iterator[str]:
    label = f"; LABEL is {escape(entry['label'])}" if entry["label"] else ""
    yield f"address: {code(entry['address'])}{label}"
    if entry["life"] == "setting":
        yield "a setting: it always exists, is adopted, and is only changed; what is not declared is left alone"
    if entry["newborn"]:
        yield f"on a newborn host: {_codes(entry['newborn'])}"
    yield from (f"rule: {rule}" for rule in entry["rules"])
    if entry["reads"]:
        yield f"reads: {_codes(entry['reads'])}"
    if entry["children"]:
        yield f"what hangs on it: {', '.join(f'[{code(name)}](#{name})' for name in entry['children'])}"
    yield f"tested against: {tested(entry)}"


def _attribute(row: Data) -> tuple[str, ...]:
    notes = [*(["required"] if row["required"] else []), *row["notes"]]
    text = escape(row["doc"]) + (f" ({'; '.join(map(escape, notes))})" if notes else "")
    return code(row["name"]), row["kind"], _value(row["default"]), code(row["takes"]), text


def _value(value: Any) -> str:
    return "" if value is None else code(value if isinstance(value, str) and value else json.dumps(value))


def _step(row: Data) -> tuple[str, ...]:
    needs = [*(f"{row['window']} window" for _ in [0] if row["window"]),
             *(f"{code(row['stopped'])} off meanwhile" for _ in [0] if row["stopped"]),
             *map(code, row["privileges"])]
    told = [escape(row["doc"]), *(f"**may disrupt**: {escape(row['disruptive'])}" for _ in [0] if row["disruptive"]),
            *(f"undoing loses: {escape(row['loses'])}" for _ in [0] if row["loses"])]
    undone = code(row["inverse"]) if row["inverse"] else (
        f"**irreversible**: {escape(row['irreversible'])}" if row["irreversible"] else "")
    return code(row["name"]), code(row["call"]), _codes(row["attributes"]), undone, ", ".join(needs), " ".join(told)


# --- the rest ---------------------------------------------------------------------------------------------


def _acts(acts: Sequence[Data]) -> Iterator[str]:
    if not acts:
        return
    yield "## Steps of other providers\n"
    yield from table(("step", "provider", "kind", "undone by", "what it does"), ((
        code(row["name"]), row["provider"], row["kind"], code(row["inverse"]) or escape(row["irreversible"]),
        escape(row["doc"])) for row in acts))


def _refused(found: dict[str, str]) -> Iterator[str]:
    if not found:
        return
    yield "## Refused\n"
    yield "These blocks and keys are known, and are errors of `fleet validate` that say so.\n"
    yield from table(("block or key", "what it is for"), ((code(key), escape(text)) for key, text in found.items()))
