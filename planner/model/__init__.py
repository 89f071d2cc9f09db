"""The values that every room shares. Frozen, and importing nothing of ours.

Attributes of a resource are plain JSON-like data plus two first-class citizens:
`Unknown` (known only after apply) and `SecretRef` (resolved only when it is used).
"""

from planner.model.address import LABEL, Address
from planner.model.errors import (
    Denied,
    Diagnostic,
    FleetError,
    Incomplete,
    Locked,
    Mark,
    ReadFailed,
    Rebooted,
    Silent,
    Stale,
    StepFailed,
)
from planner.model.fleet import NO_LIFECYCLE, Check, Fleet, Image, Lifecycle, Output, Resource
from planner.model.live import Connection, Evacuation, Live, LiveHost, LiveObject, Mate, Stray
from planner.model.plan import Action, Change, Drift, Inverse, Later, Plan, Roll, Step, StepKind
from planner.model.state import State, StateResource
from planner.model.values import (
    Attrs,
    ResolveSecret,
    SecretRef,
    Unknown,
    Value,
    contains_unknown,
    decode,
    digest,
    encode,
    walk_secrets,
)

__all__ = [
    "LABEL",
    "NO_LIFECYCLE",
    "Action",
    "Address",
    "Attrs",
    "Change",
    "Check",
    "Connection",
    "Denied",
    "Diagnostic",
    "Drift",
    "Evacuation",
    "Fleet",
    "FleetError",
    "Image",
    "Incomplete",
    "Inverse",
    "Later",
    "Lifecycle",
    "Live",
    "LiveHost",
    "LiveObject",
    "Locked",
    "Mark",
    "Mate",
    "Output",
    "Plan",
    "ReadFailed",
    "Rebooted",
    "ResolveSecret",
    "Resource",
    "Roll",
    "SecretRef",
    "Silent",
    "Stale",
    "State",
    "StateResource",
    "Step",
    "StepFailed",
    "StepKind",
    "Stray",
    "Unknown",
    "Value",
    "contains_unknown",
    "decode",
    "digest",
    "encode",
    "walk_secrets",
]
