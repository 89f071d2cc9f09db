"""Secrets, resolved at the moment of use: `env:NAME` and `file:PATH`. Errors name the reference, never a value."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.model import Address, Diagnostic, Fleet, FleetError, SecretRef, walk_secrets


@dataclass(frozen=True, slots=True)
class Secrets:
    """Resolves references; relative paths start at `folder`. An instance is called like a function."""

    folder: Path

    def __call__(self, reference: SecretRef) -> str:
        """The value. Raises FleetError that names the reference."""
        kind, _, name = reference.reference.partition(":")
        if kind == "env":
            return self._env(reference, name)
        if kind == "file":
            return self._file(reference, name)
        raise FleetError(_problem(reference, "this kind of secret is unknown", "write env:NAME or file:PATH"))

    def _env(self, reference: SecretRef, name: str) -> str:
        value = os.environ.get(name)
        if value is None:
            raise FleetError(_problem(reference, "the environment variable is not set", f"set {name}, then again"))
        return value

    def _file(self, reference: SecretRef, name: str) -> str:
        path = self.folder / name
        try:
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise FleetError(_problem(reference, f"the file cannot be read ({why})",
                                      f"put the secret into {path}, readable for you alone")) from None
        except UnicodeDecodeError:
            raise FleetError(_problem(reference, "the file is not UTF-8 text", f"look at {path}")) from None

    def check(self, fleet: Fleet, roots: Iterable[Address]) -> None:
        """Resolve every secret that these roots (and what hangs on them) refer to; all that fail, at once."""
        wanted, found = set(roots), []
        seen: set[SecretRef] = set()
        for address, resource in fleet.resources.items():
            if address.root not in wanted:
                continue
            for reference in walk_secrets(resource.attributes):
                if reference not in seen:
                    seen.add(reference)
                    found += self._failures(reference, address)
        if found:
            raise FleetError(*found)

    def _failures(self, reference: SecretRef, address: Address) -> list[Any]:
        try:
            self(reference)
        except FleetError as error:
            return [Diagnostic(d.severity, d.summary, d.detail, d.mark, address, d.remedy) for d in error.diagnostics]
        return []


def _problem(reference: SecretRef, why: str, remedy: str) -> Diagnostic:
    return Diagnostic("error", "a secret cannot be resolved", f"{reference}: {why}", remedy=remedy)
