"""Fault rules: what goes wrong, when, on which calls.

A rule, as a dict or in YAML: `{kind: lost_reply, method: "*.AddHost_Task", target: "esx02*", nth: 1, times: 1}`.

| kind | what the client sees |
|---|---|
| latency | the call waits `seconds` first, outside the lock |
| slow_task | the task runs for `seconds`, then takes effect |
| fault | the method raises `fault`; `after: true`: although it took effect |
| task_fault | the task ends in error with `fault`; `after: true`: although it took effect |
| host_stops | the house is told that the target's host stops responding; call or task fail with HostCommunication |
| expire_session | the caller's session is gone: NotAuthenticated |
| reset | the connection is reset before any effect |
| lost_reply | the call takes effect, its answer never arrives |
| restart | vCenter restarts: all sessions gone, this and the next `refuse` calls fail at the socket |
"""

from __future__ import annotations

import errno
import http.client
import random
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, get_args

from providers.twin.core.meta import declared_faults, fault_type

if TYPE_CHECKING:
    from providers.twin.core.base import World
    from providers.twin.core.context import Context

Kind = Literal["latency", "slow_task", "fault", "task_fault", "host_stops", "expire_session", "reset", "lost_reply",
               "restart"]

_ANY_TASK = ("vim.fault.TaskInProgress", "vim.fault.ConcurrentAccess")
"""vCenter ends tasks with these whatever their methods declare: the entity is busy with another task."""


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One rule. Globs are case-sensitive (`fnmatch`); a method glob without a dot matches the method name alone.

    `nth`: the first matching call that is hit, from 1. `times`: how many matching calls from there on (0: all).
    `probability`: of each of those. `seconds`: of latency and slow_task. `door`: "vcenter", a host's door, or a glob.
    """

    kind: Kind
    method: str = "*"
    target: str = "*"
    door: str = "*"
    nth: int = 1
    times: int = 1
    probability: float = 1.0
    seconds: float = 0.0
    fault: str = ""
    message: str = ""
    after: bool = False
    refuse: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"unknown fault kind {self.kind!r}; known: {', '.join(get_args(Kind))}")
        if self.kind in ("fault", "task_fault") and not self.fault:
            raise ValueError(f"a rule of kind {self.kind} must name its fault, e.g. vim.fault.TaskInProgress")
        if self.fault:
            fault_type(self.fault)
        if self.nth < 1 or self.times < 0 or not 0.0 <= self.probability <= 1.0 or self.seconds < 0 or self.refuse < 0:
            raise ValueError(f"rule of kind {self.kind}: nth from 1, times and seconds from 0, probability 0 to 1")

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> FaultRule:
        """From a dict. Raises ValueError naming an unknown key or a wrong value."""
        known = {each.name: each for each in fields(cls)}
        unknown = sorted(set(raw) - set(known))
        if unknown or "kind" not in raw:
            problem = f"unknown key {unknown[0]!r}" if unknown else "no kind"
            raise ValueError(f"fault rule: {problem}; keys are {', '.join(known)}")
        return cls(**{name: _typed(name, value, known[name].type) for name, value in raw.items()})


def _typed(name: str, value: Any, annotation: Any) -> Any:
    kinds: dict[str, Any] = {"int": int, "float": float, "bool": _boolean}
    try:
        return kinds.get(str(annotation), str)(value)
    except (TypeError, ValueError):
        raise ValueError(f"fault rule: {name} must be of type {annotation}, not {value!r}") from None


def _boolean(value: Any) -> bool:
    if isinstance(value, bool) or value in ("true", "false"):
        return value in (True, "true")
    raise ValueError(value)


@dataclass(slots=True)
class Verdict:
    """What the rules say about one call. The dispatcher asks it at the right moments."""

    door: str = ""
    method: str = ""
    rules: list[FaultRule] = field(default_factory=list)
    refused: bool = False

    def before(self, world: World, context: Context) -> None:
        """Outside the lock, before any effect: waits, expires, resets."""
        if self.refused:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        for rule in self.rules:
            if rule.kind == "latency":
                world.clock.sleep(rule.seconds)
            elif rule.kind == "expire_session":
                world.sessions.end(context.session)
                context.session = None
            elif rule.kind == "restart":
                world.sessions.end_all()
                world.faults.refuse_next(world.door, rule.refuse)
                raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
            elif rule.kind == "reset":
                raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    def after(self) -> None:
        """After the effect is durable: the reply may get lost."""
        if any(rule.kind == "lost_reply" for rule in self.rules):
            raise http.client.RemoteDisconnected("Remote end closed connection without response")

    @property
    def task_seconds(self) -> float:
        return sum(rule.seconds for rule in self.rules if rule.kind == "slow_task")

    @property
    def stops_host(self) -> bool:
        return any(rule.kind == "host_stops" for rule in self.rules)

    def fail_instead(self, *, after: bool = False) -> None:
        """Raise the rule's fault, if there is one for this moment. Raises ValueError for a fault not declared."""
        for rule in self.rules:
            if rule.kind in ("fault", "task_fault") and rule.after == after:
                kind = fault_type(rule.fault)
                wire, _, method = self.method.partition(".")
                passing = rule.kind == "task_fault" and rule.fault in _ANY_TASK
                if not passing and not issubclass(kind, declared_faults(wire, method)):
                    raise ValueError(f"fault rule: {self.method} does not declare {rule.fault}")
                raise kind(msg=rule.message or f"{rule.fault} by a fault rule")

    def fail_afterwards(self) -> None:
        """As `fail_instead`, once the effect is there."""
        self.fail_instead(after=True)


class FaultRules:
    """The rules of a house, with their counters. Thread-safe; `seed` makes probabilities repeatable."""

    def __init__(self, rules: Iterable[FaultRule | Mapping[str, Any]] = (), *, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._rules: list[FaultRule] = []
        self._seen: list[int] = []
        self._refuse: dict[str, int] = {}
        for rule in rules:
            self.add(rule)

    @classmethod
    def load(cls, text: str) -> FaultRules:
        """From YAML: a list of rules, or `{seed: N, rules: […]}`. Raises ValueError that says what is wrong."""
        import yaml

        try:
            raw = yaml.safe_load(text) or []
        except yaml.YAMLError as problem:
            raise ValueError(f"fault rules are not YAML: {problem}") from None
        if isinstance(raw, Mapping):
            if set(raw) - {"seed", "rules"}:
                raise ValueError("fault rules: write a list of rules, or {seed: N, rules: [...]}")
            return cls(raw.get("rules") or [], seed=int(raw.get("seed") or 0))
        if not isinstance(raw, list):
            raise ValueError("fault rules: write a list of rules, or {seed: N, rules: [...]}")
        return cls(raw)

    def add(self, rule: FaultRule | Mapping[str, Any] | None = None, /, **given: Any) -> FaultRule:
        """Add a rule: a FaultRule, a dict, or keywords. Its count starts at zero."""
        made = rule if isinstance(rule, FaultRule) else FaultRule.parse({**(rule or {}), **given})
        with self._lock:
            self._rules.append(made)
            self._seen.append(0)
        return made

    def take(self, other: FaultRules) -> None:
        """These rules become those of `other`, seed and counters included."""
        with self._lock:
            self._random, self._rules, self._seen = other._random, list(other._rules), list(other._seen)

    def clear(self) -> None:
        """No faults any more."""
        with self._lock:
            self._rules.clear()
            self._seen.clear()
            self._refuse.clear()

    def refuse_next(self, door: str, calls: int) -> None:
        """The next `calls` calls at this door are refused at the socket."""
        with self._lock:
            self._refuse[door] = calls

    def judge(self, door: str, method: str, target: str, *, task: bool = False) -> Verdict:
        """Count one call and say what happens to it."""
        if not self._rules and not self._refuse:
            return Verdict()
        verdict = Verdict(door, method)
        with self._lock:
            if self._refuse.get(door):
                self._refuse[door] -= 1
                verdict.refused = True
                return verdict
            for index, rule in enumerate(self._rules):
                if not self._matches(rule, door, method, target, task=task):
                    continue
                self._seen[index] += 1
                late = self._seen[index] - rule.nth
                if late < 0 or (rule.times and late >= rule.times):
                    continue
                if rule.probability >= 1.0 or self._random.random() < rule.probability:
                    verdict.rules.append(rule)
        return verdict

    @staticmethod
    def _matches(rule: FaultRule, door: str, method: str, target: str, *, task: bool) -> bool:
        name = method if "." in rule.method else method.partition(".")[2]
        if rule.kind in ("task_fault", "slow_task") and not task:
            return False
        return fnmatchcase(name, rule.method) and fnmatchcase(target, rule.target) and fnmatchcase(door, rule.door)


