"""Where expressions stand in text: `a ${x} b` → parts. `$${` is a literal `${`."""

from __future__ import annotations

from typing import NamedTuple


class Part(NamedTuple):
    """Literal text, or the text of an expression. `offset`: columns from the start of the scalar's text."""

    text: str
    offset: int
    expression: bool


class TemplateError(Exception):
    """A `${` without its `}`. `offset` as in Part."""

    def __init__(self, offset: int) -> None:
        super().__init__("a ${ without its }")
        self.offset = offset


def expression_end(text: str, start: int) -> int:
    """The index behind the `}` that closes the expression which begins at `start`; -1 where there is none.

    Braces inside of it nest, and count for nothing inside quotes.
    """
    depth, quote, at = 0, "", start
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char == "{":
            depth += 1
        elif char == "}":
            if depth == 0:
                return at + 1
            depth -= 1
        at += 1
    return -1


def split(text: str) -> list[Part]:
    """The parts of a scalar. Raises TemplateError."""
    parts: list[Part] = []
    plain, at = "", 0
    while True:
        found = text.find("${", at)
        if found < 0:
            break
        if found and text[found - 1] == "$":
            plain += text[at:found - 1] + "${"
            at = found + 2
            continue
        end = expression_end(text, found + 2)
        if end < 0:
            raise TemplateError(found)
        plain += text[at:found]
        if plain:
            parts.append(Part(plain, 0, False))
            plain = ""
        parts.append(Part(text[found + 2:end - 1], found + 2, True))
        at = end
    plain += text[at:]
    if plain:
        parts.append(Part(plain, 0, False))
    return parts
