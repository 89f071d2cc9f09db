"""Where the objects of an answer stand: the elements that are open around them, and the namespaces that hold there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError, ParserCreate, XMLParserType
from xml.sax.saxutils import quoteattr

_XMLNS = re.compile(rb"""\sxmlns(?::([\w.-]+))?\s*=\s*["']([^"'&<]*)["']""")


class BadAnswer(HTTPException):
    """The server's answer is no XML, is cut off, or has what the vSphere API never sends. Says what, and where."""


@dataclass(frozen=True, slots=True)
class Context:
    """`head`: the answer up to its first object. `open`: names of the elements that are open there, outermost first.

    `namespaces`: prefix (None: the default) → URI. `element`: a start tag that declares them.
    """

    head: bytes
    open: tuple[str, ...]
    namespaces: dict[str | None, str]
    element: bytes

    @property
    def close(self) -> bytes:
        return "".join(f"</{name}>" for name in reversed(self.open)).encode()

    @property
    def usual(self) -> bool:
        """Whether objects belong here: Envelope/Body/…Response/returnval."""
        names = [name.rpartition(":")[2] for name in self.open]
        return len(names) == 4 and names[:2] == ["Envelope", "Body"] and names[2].endswith("Response") \
            and names[3] == "returnval"

    def own_namespaces(self, piece: bytes) -> bool:
        """Whether a piece declares a prefix to mean something else than it means here."""
        if b"xmlns" not in piece:
            return False
        told = _XMLNS.findall(piece)
        here = {(prefix or "").encode(): uri.encode() for prefix, uri in self.namespaces.items()}
        return len(told) != piece.count(b"xmlns") or any(here.get(prefix, uri) != uri for prefix, uri in told)


def context_of(head: bytes) -> Context:
    """Read the beginning of an answer. Raises BadAnswer."""
    stack: list[tuple[str, dict[str | None, str]]] = []
    parser = _guarded()

    def start(name: str, attributes: dict[str, str]) -> None:
        own: dict[str | None, str] = {key[6:] or None: uri for key, uri in attributes.items()
                                      if key == "xmlns" or key.startswith("xmlns:")}
        stack.append((name, own))

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _name: stack.pop()
    _parse(parser, head, final=False)
    namespaces = {prefix: uri for _, own in stack for prefix, uri in own.items()}
    declared = "".join(f" xmlns{':' + prefix if prefix else ''}={quoteattr(uri)}" for prefix, uri in namespaces.items())
    return Context(head, tuple(name for name, _ in stack), namespaces, f"<w{declared}>".encode())


def guard(document: bytes) -> None:
    """Raises BadAnswer for what is not well-formed, not UTF-8, or has a document type (entities)."""
    _parse(_guarded(), document, final=True)


def is_answer(document: bytes) -> bool:
    """Whether well-formed XML is an envelope whose body holds the answer to a method."""
    path = [each.tag.rpartition("}")[2] for each in _last_children(tree(document))]
    return path[:2] == ["Envelope", "Body"] and path[2:] != [] and path[2].endswith("Response")


def _last_children(root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """An element, and down from it the last child of each: headers come before the body."""
    at: ElementTree.Element | None = root
    while at is not None:
        yield at
        at = at[-1] if len(at) else None


def tree(document: bytes) -> ElementTree.Element:
    """A piece as elements. It has no document type: the caller saw no `<!` in it. Raises BadAnswer."""
    parser = ElementTree.XMLParser(encoding="utf-8")  # noqa: S314
    try:
        parser.feed(document)
        return parser.close()
    except ElementTree.ParseError as problem:
        raise BadAnswer(f"it is not well-formed XML ({problem.msg})") from problem


def _guarded() -> XMLParserType:
    parser = ParserCreate()

    def refuse_type(*_: object) -> None:
        raise BadAnswer("it has a document type declaration, which the vSphere API never sends")

    def check(_version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii"):
            raise BadAnswer(f"it is written in {encoding}; the vSphere API speaks UTF-8")

    parser.StartDoctypeDeclHandler = refuse_type
    parser.XmlDeclHandler = check
    return parser


def _parse(parser: XMLParserType, text: bytes, *, final: bool) -> None:
    if b"\0" in text[:4] or text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadAnswer("it is written in UTF-16 or UTF-32; the vSphere API speaks UTF-8")
    try:
        parser.Parse(text, final)
    except ExpatError as problem:
        raise BadAnswer(f"it is not well-formed XML ({problem})") from problem
