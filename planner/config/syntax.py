"""What libyaml's syntax errors mean to the author of a fleet file."""

from __future__ import annotations

from yaml import YAMLError

from planner.config.nodes import pack
from planner.config.problems import Problems
from planner.config.template import expression_end

PLACEHOLDER = "\ue000"
"""Takes the place of an unquoted `${…}` after it was reported: as many columns, and nothing that YAML minds."""

_QUOTE = "quote it: '${…}'"


def explain(error: YAMLError, data: bytes, file: int, problems: Problems) -> None:
    """Report a syntax error with the place and the remedy that its author needs."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        _unreadable(error, data, file, problems)
        return
    lines = data.decode("utf-8-sig").split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    found = _unquoted(line, mark.column)
    if found >= 0:
        end = expression_end(line, found + 2)
        problems.error("an unquoted ${…} inside a flow map or list",
                       "inside { } and [ ] YAML takes its braces for its own", pack(file, mark.line + 1, found + 1),
                       f"quote it: {_quoted(line[found:end])}" if end > 0 else _QUOTE)
        return
    problem = str(getattr(error, "problem", None) or "cannot be read")
    detail, remedy = _meaning(problem, line, mark.column)
    context = getattr(error, "context", None)
    start = getattr(error, "context_mark", None)
    if context and start is not None and (start.line, start.column) != (mark.line, mark.column):
        detail += f" ({context} that begins at line {start.line + 1}, column {start.column + 1})"
    problems.error("YAML syntax error", detail, pack(file, mark.line + 1, mark.column + 1), remedy)


def repair(error: YAMLError, data: bytes) -> bytes | None:
    """The text with the unquoted `${…}` of this error taken out, so that reading can go on; None for other errors."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return None
    lines = data.decode("utf-8-sig").split("\n")
    if mark.line >= len(lines):
        return None
    line = lines[mark.line]
    found = _unquoted(line, mark.column)
    end = expression_end(line, found + 2) if found >= 0 else -1
    if end < 0:
        return None
    lines[mark.line] = line[:found] + PLACEHOLDER * (end - found) + line[end:]
    return "\n".join(lines).encode()


def _unquoted(line: str, column: int) -> int:
    """Where the `${` begins that libyaml stumbled over; -1 where it was something else.

    In flow context `$` ends a plain scalar's text and `{` opens a map where none can be: libyaml points at it.
    """
    if line[column:column + 1] == "{" and line[column - 1:column] == "$" and column > 0:
        return column - 1
    return -1


def _meaning(problem: str, line: str, column: int) -> tuple[str, str]:
    """(detail, remedy)"""
    char = line[column:column + 1]
    indent = line[:len(line) - len(line.lstrip())]
    if char == "\t" or "\t" in indent:
        return "a tab in the indentation", "indent with spaces"
    if "mapping values are not allowed" in problem:
        if "${" in line[:column]:
            return "': ' inside an unquoted expression", _QUOTE
        return ("a second ': ' on this line, or a line that is indented wrongly",
                "quote text that contains ': ', and align keys of one map")
    if "cannot start any token" in problem:
        return f"unquoted text cannot begin with {char!r}", "quote it"
    if "expected ',' or" in problem:
        return (problem.replace("did not find expected", "missing:"),
                "close the bracket; quote text that contains any of { } [ ] ,")
    if "unexpected end of stream" in problem:
        return "a quote that is opened here or before is never closed", "close the quote"
    if "expected key" in problem or "block end" in problem or "block entry" in problem or "block mapping" in problem:
        return problem, "align the keys of one map, and the dashes of one list, in one column"
    return problem, ""


def _unreadable(error: YAMLError, data: bytes, file: int, problems: Problems) -> None:
    position = getattr(error, "position", 0) or 0
    before = data[:position]
    line = before.count(b"\n") + 1
    column = position - (before.rfind(b"\n") + 1) + 1
    character = getattr(error, "character", None)
    shown = f"character #x{character:04x}" if isinstance(character, int) else "a character"
    problems.error("a character that YAML does not allow", f"{shown} stands here", pack(file, line, column),
                   "remove it; control characters can be written as \\x.. inside double quotes")


def _quoted(text: str) -> str:
    return f"'{text}'" if "'" not in text else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
