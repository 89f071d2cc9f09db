"""`provider.boot.midwife`, before anything is evaluated: whoever asks for the state must know where it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from planner.config.files import root_files
from planner.config.nodes import Map, Node, Scalar, Sources, is_null, literal
from planner.config.parse import first_block
from planner.config.problems import Problems
from planner.model import Attrs, Diagnostic, FleetError, SecretRef

_SECRET = re.compile(r'\$\{\s*secret\(\s*"(env:[A-Za-z_][A-Za-z0-9_]*|file:[^"\\\0]+)"\s*\)\s*\}\Z')
_WRITE_OUT = "write it out: it is read before anything is evaluated"


def midwife_settings(path: str | Path) -> Attrs:
    """{midwife: URL, identity: SecretRef, patience: seconds} of a fleet's `provider.boot` block, as far as they are
    there; {} without a midwife. Literals only. Raises FleetError."""
    problems = Problems(Sources())
    for file in root_files(Path(path)):
        try:
            data = file.read_bytes()
        except OSError as error:
            raise FleetError(Diagnostic("error", "a file cannot be read", f"{file}: {error.strerror}")) from None
        number = problems.sources.add(str(file), file.resolve().parent)
        if b"midwife" not in data:
            continue
        found = first_block(data, number, problems, "provider")
        problems.raise_if_any()
        boot = found[0].items.get("boot") if found is not None and isinstance(found[0], Map) else None
        if not isinstance(boot, Map) or is_null(boot.items.get("midwife", _NOTHING)):
            continue
        values = _values(boot, problems)
        problems.raise_if_any()
        return values
    return {}


_NOTHING = Scalar("", 0)


def _values(boot: Map, problems: Problems) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key in ("midwife", "identity", "patience"):
        node = boot.items.get(key)
        if node is None or is_null(node):
            continue
        if key == "identity":
            values[key] = _secret(node, problems)
        elif not isinstance(node, Scalar) or "${" in node.text:
            problems.error("wrong type", f"provider.boot.{key}: a literal is expected", node.at, _WRITE_OUT)
        else:
            values[key] = literal(node)
    return values


def _secret(node: Node, problems: Problems) -> SecretRef | None:
    """Never quotes what stands there: it may be the secret itself."""
    match = _SECRET.match(node.text) if isinstance(node, Scalar) else None
    if match is None:
        problems.error("not a reference to a secret", "provider.boot.identity", node.at,
                       """write '${secret("file:PATH")}' or '${secret("env:NAME")}': """ + _WRITE_OUT[14:])
        return None
    kind, _, name = match[1].partition(":")
    if kind == "file":
        name = str((problems.sources.folder(node.at) / Path(name).expanduser()).resolve())
    return SecretRef(f"{kind}:{name}")
