"""Plan files: one self-describing JSON document, `format: 1`, gzip or not, readable offline."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import asdict
from typing import Any

import msgspec

from planner.backout import back_out
from planner.model import (
    Action,
    Address,
    Attrs,
    Change,
    Check,
    Diagnostic,
    Drift,
    Evacuation,
    FleetError,
    Inverse,
    Later,
    Mark,
    Plan,
    Roll,
    Step,
    decode,
    encode,
)

FORMAT = 1
_GZIP = b"\x1f\x8b"


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data: what `--json` prints and what a plan file holds."""
    return {
        "format": FORMAT, "kind": "fleet.plan", "fleet": plan.fleet, "tool": plan.tool, "created": plan.created,
        "by": plan.by, "source": plan.source, "options": dict(plan.options), "refreshed": plan.refreshed,
        "lineage": plan.lineage, "serial": plan.serial, "instance": plan.instance, "config": plan.config_digest,
        "live": dict(plan.live_digests), "images": dict(plan.image_digests),
        "drift": [_plain(d) for d in plan.drift], "changes": [_change(c) for c in plan.changes],
        "steps": [_step(s) for s in plan.steps],
        "back_out": [_step(s) for s in back_out(plan)],
        "stays": [{"step": s.id, "address": str(s.address), "operation": s.operation, "reason": s.irreversible}
                  for s in plan.steps if s.irreversible],
        "unmanaged": list(plan.unmanaged), "checks": [_plain(c) for c in plan.checks],
        "diagnostics": [_plain(d) for d in plan.diagnostics],
        **({"later": _later(plan.later)} if plan.later != Later() else {}),
        **({"rolls": [_roll(r) for r in plan.rolls]} if plan.rolls else {}),
    }


def encode_plan(plan: Plan, *, compress: bool = False) -> bytes:
    """A plan file. It ends with a digest of itself, so that what was reviewed is what is applied."""
    document = plan_document(plan)
    document["digest"] = _seal(document)
    data = msgspec.json.encode(document)
    return gzip.compress(data, mtime=0) if compress else msgspec.json.format(data, indent=1)


def _seal(document: dict[str, Any]) -> str:
    """SHA-256 of a plan document; spaces and the order of keys are no part of it."""
    return hashlib.sha256(msgspec.json.encode(document, order="deterministic")).hexdigest()


def is_plan(data: bytes) -> bool:
    """Whether these bytes look like a plan file (by content, not by name)."""
    if data.startswith(_GZIP):
        try:
            data = zlib.decompressobj(wbits=31).decompress(data, 4096)
        except zlib.error:
            return False
    return data.lstrip()[:1] == b"{" and b'"fleet.plan"' in data[:4096]


def decode_plan(data: bytes) -> Plan:
    """Read a plan file. Raises FleetError on damage and on a newer format."""
    try:
        raw = msgspec.json.decode(gzip.decompress(data) if data.startswith(_GZIP) else data)
    except (msgspec.DecodeError, OSError, EOFError, zlib.error) as error:
        raise FleetError(Diagnostic("error", "this plan file is damaged", str(error),
                                    remedy="make the plan again with `fleet plan --out`")) from error
    if not isinstance(raw, dict) or raw.get("kind") != "fleet.plan":
        raise FleetError("this is not a plan file")
    if raw.get("format") != FORMAT:
        raise FleetError(Diagnostic("error", "this plan file has a format that this version does not know",
                                    f"format {raw.get('format')!r}, known is {FORMAT}", remedy="update fleet"))
    seal = raw.pop("digest", None)  # what `fleet plan --json` prints has none
    if seal is not None and seal != _seal(raw):
        raise FleetError(Diagnostic("error", "this plan file was changed after it was made",
                                    "its content does not match its digest",
                                    remedy="edit the fleet instead, and make the plan again with `fleet plan --out`"))
    try:
        return _plan(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise FleetError(Diagnostic("error", "this plan file is damaged", f"{type(error).__name__}: {error}",
                                    remedy="make the plan again with `fleet plan --out`")) from error


def _plan(raw: dict[str, Any]) -> Plan:
    return Plan(
        raw["fleet"], raw["tool"], raw["lineage"], raw["serial"], raw["instance"], raw["config"], raw["live"],
        raw["images"],
        tuple(Drift(Address.parse(d["address"]), d["attribute"], decode(d["expected"]), decode(d["found"]),
                    d["resolved"]) for d in raw["drift"]),
        tuple(_read_change(c) for c in raw["changes"]), tuple(_read_step(s) for s in raw["steps"]),
        tuple(raw["unmanaged"]),
        tuple(Check(c["name"], c["passed"], c["message"], _read_mark(c["mark"])) for c in raw["checks"]),
        tuple(_read_diagnostic(d) for d in raw["diagnostics"]), raw["created"], raw["by"], raw["refreshed"],
        raw["source"], raw["options"], _read_later(raw.get("later", {})),
        tuple(_read_roll(r) for r in raw.get("rolls", ())),
    )


def _roll(roll: Roll) -> dict[str, Any]:
    vms = roll.evacuation
    return {"address": str(roll.address), "cluster": roll.cluster, "image": roll.image, "before": roll.before,
            "after": roll.after, "builds": list(roll.builds), "moves": list(vms.moves), "stuck": list(vms.stuck),
            "by_hand": list(vms.by_hand)}


def _read_roll(raw: dict[str, Any]) -> Roll:
    before, after = raw["builds"]
    return Roll(Address.parse(raw["address"]), raw["cluster"], raw["image"], raw["before"], raw["after"],
                (before, after), Evacuation(tuple(raw["moves"]), tuple(raw["stuck"]), tuple(raw["by_hand"])))


def _later(later: Later) -> dict[str, Any]:
    return {"providers": encode(later.providers), "files": dict(later.files),
            "exclusive": [str(a) for a in later.exclusive]}


def _read_later(raw: dict[str, Any]) -> Later:
    return Later(decode(raw.get("providers", {})), raw.get("files", {}),
                 tuple(Address.parse(a) for a in raw.get("exclusive", ())))


def _plain(value: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key in value.__slots__:
        item = getattr(value, key)
        result[key] = asdict(item) if isinstance(item, Mark) else encode(item)
    return result


def _change(change: Change) -> dict[str, Any]:
    data = {"address": str(change.address), "action": change.action.value, "before": _attrs(change.before),
            "after": _attrs(change.after), "unknown": list(change.unknown), "reason": change.reason}
    data.update({flag: True for flag in ("adopted", "assumed", "reborn") if getattr(change, flag)})
    return data


def _step(step: Step) -> dict[str, Any]:
    inverse = step.inverse
    return {
        "id": step.id, "address": str(step.address), "operation": step.operation, "kind": step.kind,
        "before": _attrs(step.before), "after": _attrs(step.after), "needs": list(step.needs), "when": step.when,
        "inverse": None if inverse is None else {
            "operation": inverse.operation, "before": _attrs(inverse.before), "after": _attrs(inverse.after),
            "disruptive": inverse.disruptive},
        "irreversible": step.irreversible, "disruptive": step.disruptive, "assumed": step.assumed,
    }


def _attrs(value: Attrs | None) -> Any:
    return None if value is None else encode(value)


def _read_change(raw: dict[str, Any]) -> Change:
    return Change(Address.parse(raw["address"]), Action(raw["action"]), decode(raw["before"]), decode(raw["after"]),
                  tuple(raw["unknown"]), raw["reason"], raw.get("adopted", False), raw.get("assumed", False),
                  raw.get("reborn", False))


def _read_step(raw: dict[str, Any]) -> Step:
    inverse = raw["inverse"]
    return Step(
        raw["id"], Address.parse(raw["address"]), raw["operation"], decode(raw["before"]), decode(raw["after"]),
        tuple(raw["needs"]), raw["when"],
        None if inverse is None else Inverse(inverse["operation"], decode(inverse["before"]), decode(inverse["after"]),
                                             inverse.get("disruptive", "")),
        raw["irreversible"], raw["disruptive"], raw["kind"], raw["assumed"],
    )


def _read_mark(raw: Any) -> Mark | None:
    return None if raw is None else Mark(raw["file"], raw["line"], raw["column"])


def _read_diagnostic(raw: dict[str, Any]) -> Diagnostic:
    address = raw["address"]
    return Diagnostic(raw["severity"], raw["summary"], raw["detail"], _read_mark(raw["mark"]),
                      None if address is None else Address.parse(address), raw["remedy"])
