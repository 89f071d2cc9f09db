"""What the commands print: answers to stdout, progress and errors to stderr, JSON only to stdout.

A reader that goes away (`fleet plan … | head`) never ends a command: what remains is dropped.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, TextIO

from planner.model import Diagnostic, FleetError, encode
from planner.review.paint import Paint, clean, fit

ALIKE = 3
"""How many diagnostics of one place and kind are printed in full."""


class Usage(FleetError):
    """Wrong usage of a command."""

    exit_code = 64


class Interrupted(FleetError):
    """Ctrl-C or SIGTERM before anything was changed."""

    exit_code = 130


class Unsupported(FleetError):
    """A command or option of a later version."""


def emit(text: str, stream: TextIO | None = None) -> None:
    """Print a line (or several); a reader that has gone away is no error."""
    out = sys.stdout if stream is None else stream
    try:
        out.write(text + "\n")
        out.flush()
    except BrokenPipeError:
        _drop(out)
    except UnicodeEncodeError:
        out.write(text.encode("ascii", "backslashreplace").decode("ascii") + "\n")
        out.flush()


def emit_text(text: str, stream: TextIO | None = None) -> None:
    """Print text for people: on a terminal its lines break between words, elsewhere they stay whole."""
    out = sys.stdout if stream is None else stream
    emit(fit(text, _width(out)) if is_terminal(out) else text, out)


def _width(out: TextIO) -> int:
    try:
        return max(40, os.get_terminal_size(out.fileno()).columns)
    except (OSError, ValueError):  # what calls itself a terminal need not be one
        return 80


def _drop(stream: TextIO) -> None:
    """Point the stream at /dev/null, so that neither later prints nor the interpreter's last flush fail."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, stream.fileno())
    os.close(sink)


def note(text: str) -> None:
    """Progress or a hint, for people: stderr."""
    emit(text, sys.stderr)


def answer_json(document: Any, *, lines: bool = False) -> None:
    """One JSON document to stdout; `lines`: on one line."""
    emit(json.dumps(encode(document), ensure_ascii=False, indent=None if lines else 2))


def in_ci() -> bool:
    """Whether `CI=true` (or 1) asks for plain output."""
    return os.environ.get("CI", "").lower() in ("true", "1")


def is_terminal(stream: TextIO | None = None) -> bool:
    out = sys.stdout if stream is None else stream
    return out.isatty() and not in_ci()


def paint(stream: TextIO | None = None) -> Paint:
    """Colours on a terminal; never with NO_COLOR, CI=true or TERM=dumb."""
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Paint(is_terminal(stream) and not plain)


def diagnostic_data(found: Diagnostic) -> dict[str, Any]:
    """A diagnostic as JSON data; `file`, `line` and `column` are null where no file is to blame."""
    mark = found.mark
    return {
        "severity": found.severity, "summary": found.summary, "detail": found.detail,
        "file": mark.file if mark else None, "line": mark.line if mark else None,
        "column": mark.column if mark else None,
        "address": str(found.address) if found.address else None, "remedy": found.remedy,
    }


def diagnostic_text(found: Diagnostic, colours: Paint) -> str:
    """`FILE:LINE:COLUMN: error: what is wrong`, then details and what to do, indented."""
    error = found.severity == "error"
    head = f"{clean(str(found.mark))}: " if found.mark else ""
    where = f"{clean(str(found.address))}: " if found.address else ""
    word = colours.red("error") if error else colours.yellow("warning")
    lines = [f"{head}{word}: {where}{colours.bold(clean(found.summary))}"]
    lines += [f"    {line}" for line in clean(found.detail).splitlines()]
    if found.remedy:
        first, *rest = clean(found.remedy).splitlines() or [""]
        lines += [f"    {colours.green('do')}: {first}", *(f"        {line}" for line in rest)]
    return "\n".join(lines)


def show_diagnostics(found: Iterable[Diagnostic]) -> None:
    """Print diagnostics for people, to stderr. What one line of a profile does to 1,000 hosts is shown for a few."""
    colours = paint(sys.stderr)
    for _, group in groupby(found, key=lambda one: (one.severity, one.summary, one.mark) if one.mark else id(one)):
        alike = list(group)
        for one in alike[:ALIKE] if len(alike) > ALIKE + 1 else alike:
            emit_text(diagnostic_text(one, colours), sys.stderr)
        if len(alike) > ALIKE + 1:
            note(f"    {colours.dim(f'… and {len(alike) - ALIKE} more like these at this place (--json lists all)')}")


def show_error(error: FleetError, *, as_json: bool) -> None:
    """What a command that failed says: text to stderr, or one JSON line to stdout."""
    if as_json:
        answer_json(failure(error.exit_code, error.diagnostics), lines=True)
        return
    show_diagnostics(error.diagnostics)
    errors = sum(d.severity == "error" for d in error.diagnostics)
    if errors > 1:
        note(f"{errors} errors")


def failure(exit_code: int, diagnostics: Iterable[Diagnostic]) -> Mapping[str, Any]:
    return {"kind": "error", "exit_code": exit_code, "diagnostics": [diagnostic_data(d) for d in diagnostics]}
