"""The licence that vCenter assigns to a host. Keys are secrets: a key that live has is known by its digest only, and
found again by it among the keys that vCenter keeps."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, SecretRef, StepFailed, Unknown
from planner.ports import Call
from planner.schema import secret, string
from providers.vsphere.host.secrets import resolved
from providers.vsphere.tools import HostView, Tools, after

ASSIGNED = "license.assigned"
EVALUATION = "00000-00000-00000-00000-00000"
_KEPT = "license:"
"""Kind of a reference to a key that vCenter keeps: followed by the key's SHA-256."""
_ENDS = re.compile(r"[0-9A-Z]{5}\Z")


def digest(key: str) -> SecretRef:
    """What stands for a key in plans, state and journals (125 random bits are in a key: nobody guesses them)."""
    return SecretRef(_KEPT + hashlib.sha256(key.encode()).hexdigest())


def ask(view: HostView, _names: frozenset[str], _props: Mapping[str, Any]) -> Mapping[str, Any]:
    """LicenseAssignmentManager.QueryAssignedLicenses of this host."""
    service = view.service("licenseManager")
    assignment = view.read(service, "licenseAssignmentManager")["licenseAssignmentManager"]
    return {ASSIGNED: assignment.QueryAssignedLicenses(entityId=view.obj._moId) or ()}


def read(props: Mapping[str, Any], _wanted: frozenset[str]) -> dict[str, Attrs]:
    """A host to which nothing is assigned runs on an evaluation."""
    if ASSIGNED not in props:
        return {}
    key = next((str(each.assignedLicense.licenseKey) for each in props[ASSIGNED]), EVALUATION)
    return {"license": {"key": digest(key), "ends": key[-5:]}}


def _kept(licenses: Iterable[Any], reference: SecretRef) -> str:
    """The key with that digest. Raises StepFailed where vCenter has it no more."""
    for key in (EVALUATION, *(str(each.licenseKey) for each in licenses)):
        if digest(key) == reference:
            return key
    raise StepFailed("vCenter does not have the earlier licence key any more", str(reference),
                     "add that key to vCenter's licences again, then repeat")


def assign(tools: Tools, call: Call) -> None:
    wanted = after(call)
    reference, service = wanted.get("key"), tools.service("licenseManager")
    read = tools.read(service, "licenses", "licenseAssignmentManager")
    if isinstance(reference, SecretRef) and reference.reference.startswith(_KEPT):
        key = _kept(read.get("licenses") or (), reference)
    else:
        key = resolved(call, reference, "the licence key").strip().upper()
    if wanted.get("ends") and not key.endswith(str(wanted["ends"])):
        raise StepFailed("this licence key does not end as declared", f"`ends` is {wanted['ends']}",
                         "correct `ends`, or the secret that `key` refers to")
    read["licenseAssignmentManager"].UpdateAssignedLicense(
        entity=tools.host(call)._moId, licenseKey=key, entityDisplayName=None)


def observe(tools: Tools, call: Call) -> Attrs | None:
    """What is assigned; the key to be assigned is told by its own reference, once it is. Servers may mask keys: then
    it is another key than before, and ends as the wanted one does."""
    service = tools.service("licenseManager")
    assignment = tools.read(service, "licenseAssignmentManager")["licenseAssignmentManager"]
    live = read({ASSIGNED: assignment.QueryAssignedLicenses(entityId=tools.host(call)._moId) or ()}, frozenset())
    found, wanted = dict(live["license"]), after(call).get("key")
    if isinstance(wanted, SecretRef) and not wanted.reference.startswith(_KEPT):
        key = call.secret(wanted).strip().upper()
        masked = found["key"] != (call.before or {}).get("key") and found["ends"] == key[-5:]
        if found["key"] == digest(key) or masked:
            found["key"] = wanted
    return found


def validate(attributes: Attrs) -> Iterable[str]:
    ends = attributes.get("ends")
    if isinstance(ends, str) and not _ENDS.match(ends):
        yield "`ends` is the last five characters of the key: capital letters and digits"


LICENSE = ResourceType(
    name="license",
    doc="The licence key of the host. vCenter keeps it: it outlives a stateless boot.",
    parent="host",
    singleton=True,
    setting=True,
    order=4,
    fields={
        "key": secret("The licence key.", required=True),
        "ends": string("Its last five characters, as vCenter shows them: with them drift is seen, too."),
    },
    ask=ask,
    read=read,
    validate=validate,
    baseline={"license": {"key": Unknown("read after birth"), "ends": Unknown("read after birth")}},
    operations=(
        Operation("license.assign", "LicenseAssignmentManager.UpdateAssignedLicense", "update", "Assign the licence.",
                  assign, ("key", "ends"), inverse="license.assign", whole=True, observe=observe,
                  privileges=("Global.Licenses",)),
    ),
)
