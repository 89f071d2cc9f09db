"""Colours for a terminal, and text that cannot drive one.

Names come from vCenter and from fleet files: an escape sequence in a VM's name must not reach the terminal.
"""

from __future__ import annotations

from dataclasses import dataclass


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
