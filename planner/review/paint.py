"""Colours for a terminal, and text that cannot drive one.

Names come from vCenter and from fleet files: an escape sequence in a VM's name must not reach the terminal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_WORDS = re.compile(r" +|[^ ]+")
_STEP = re.compile(r" {2,6}\d+  ")
STEP_INDENT = 14
"""Where the remarks of a step stand, and what does not fit on its line."""


def clean(text: str) -> str:
    """The text with everything unprintable (escape sequences, bidirectional overrides) written as `\\uXXXX`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)


@dataclass(frozen=True, slots=True)
class Paint:
    """ANSI colours, or plain text where `on` is False."""

    on: bool = False

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and text else text

    def bold(self, text: str) -> str:
        return self._in("1", text)

    def dim(self, text: str) -> str:
        return self._in("2", text)

    def red(self, text: str) -> str:
        return self._in("31", text)

    def green(self, text: str) -> str:
        return self._in("32", text)

    def yellow(self, text: str) -> str:
        return self._in("33", text)

    def cyan(self, text: str) -> str:
        return self._in("36", text)

    def alarm(self, text: str) -> str:
        """What a reviewer must not overlook."""
        return self._in("1;31", text)


def fit(text: str, width: int) -> str:
    """The text with lines no wider than `width`, broken between words; what continues a line is indented deeper."""
    return "\n".join(line if len(line) <= width else _folded(line, width) for line in text.split("\n"))


def _folded(line: str, width: int) -> str:
    plain = _ESCAPE.sub("", line)
    if len(plain) <= width:
        return line
    lead = len(plain) - len(plain.lstrip())
    indent = " " * min(STEP_INDENT if _STEP.match(plain) else lead + 4, width // 3)
    lines, now, used, gap = [], "", 0, ""
    for word in _WORDS.findall(line):
        size = len(_ESCAPE.sub("", word))
        if word.isspace():
            gap = word
        elif used and used + len(gap) + size > width and now.strip():
            lines.append(now)
            now, used, gap = indent + word, len(indent) + size, ""
        else:
            now, used, gap = now + gap + word, used + len(gap) + size, ""
    return "\n".join([*lines, now])
