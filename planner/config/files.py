"""Which files make a fleet, and which blocks are in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from planner.config.nodes import Map, Node, Scalar, Seq, is_null, pack
from planner.config.parse import MAX_BYTES, parse
from planner.config.problems import Problems, listed, nearest
from planner.config.typed import describe
from planner.config.world import LATER
from planner.model import LABEL, Diagnostic, FleetError

Entry = tuple[Node, int]
"""A body, and the place of its key."""

LABELLED = ("variable", "locals", "provider", "image", "profile", "output", "check")
OTHERS = ("fleet", "include", "moved", "removed")
MAX_FILES = 10_000


@dataclass(slots=True)
class Document:
    """All blocks of all files of a fleet, by kind and label."""

    labelled: dict[str, dict[str, Entry]]
    resources: dict[str, dict[str, Entry]]
    fleet: Map | None = None
    fleet_at: int = 0
    moved: list[Node] = field(default_factory=list)
    removed: list[Node] = field(default_factory=list)
    whole: bool = True  # False where a file could not be read: what is missing may be in there


def root_files(path: Path) -> list[Path]:
    """The files of a fleet path, sorted. Raises FleetError where there is none."""
    if path.is_dir():
        found = sorted(p for p in path.glob("*.yaml") if p.is_file() and not p.name.startswith("."))
        if not found:
            other = sorted(p.name for p in path.glob("*.yml"))
            raise FleetError(Diagnostic("error", "no fleet files in this folder", f"{path} has no *.yaml",
                                        remedy=f"rename {listed(other)} to .yaml" if other
                                        else "write a fleet file, or run `fleet init` in it"))
        return found
    if not path.exists():
        raise FleetError(Diagnostic("error", "no such file or folder", f"{path}", remedy="check the path"))
    if not path.is_file():
        raise FleetError(Diagnostic("error", "not a file", f"{path} is neither a file nor a folder"))
    return [path]


class Loader:
    """Reads files, follows `include`, and sorts blocks by kind."""

    __slots__ = ("_seen", "document", "problems", "reserved", "types")

    def __init__(self, types: Iterable[str], problems: Problems, reserved: Mapping[str, str] | None = None) -> None:
        self.reserved = reserved or {}
        self.types = tuple(types)
        self.problems = problems
        self.document = Document({kind: {} for kind in LABELLED}, {name: {} for name in self.types})
        self._seen: set[Path] = set()

    def load(self, path: Path) -> Document:
        """Everything under a fleet path. Raises FleetError only where nothing can be read at all."""
        waiting: list[tuple[Path, bool]] = [(p, True) for p in root_files(path)]
        while waiting:
            file, main = waiting.pop(0)
            real = file.resolve()
            if real in self._seen:
                continue
            self._seen.add(real)
            if len(self._seen) > MAX_FILES:
                raise FleetError(Diagnostic("error", "too many files", f"a fleet has at most {MAX_FILES}"))
            waiting.extend((p, False) for p in self._file(file, main))
        return self.document

    def _file(self, path: Path, main: bool) -> list[Path]:
        file = self.problems.sources.add(str(path), path.resolve().parent)
        start = pack(file, 1, 1)
        try:
            size = path.stat().st_size
            data = path.read_bytes() if size <= MAX_BYTES else b" " * (MAX_BYTES + 1)
        except OSError as error:
            self.problems.error("a file cannot be read", f"{path}: {error.strerror}", start)
            self.document.whole = False
            return []
        before = len(self.problems.found)
        node = parse(data, file, self.problems)
        if node is None or is_null(node):
            if len(self.problems.found) == before:
                self.problems.error("an empty file", f"{path} declares nothing", start, "remove it, or fill it")
            self.document.whole = False
            return []
        if not isinstance(node, Map):
            self.problems.error("a fleet file must be a map", f"{describe(node)} stands at the top", node.at,
                                "write blocks: fleet:, cluster:, host:, …")
            self.document.whole = False
            return []
        includes: list[Path] = []
        for (kind, body), at in zip(node.items.items(), node.keys, strict=True):
            if kind == "include":
                includes.extend(self._include(body, path))
            else:
                self._block(kind, body, at, main)
        return includes

    def _block(self, kind: str, body: Node, at: int, main: bool) -> None:
        document = self.document
        if kind in document.labelled or kind in document.resources:
            target = document.labelled.get(kind)
            self._labelled(kind, body, document.resources[kind] if target is None else target)
        elif kind == "fleet":
            self._fleet(body, at, main)
        elif kind == "moved":
            document.moved.extend(body.items if isinstance(body, Seq) else [body])
        elif kind == "removed":
            document.removed.extend(body.items if isinstance(body, Seq) else [body])
        elif kind in LATER and kind != "exclusive":
            self.problems.error("not supported in this version", f"{kind}: {LATER[kind]}", at,
                                "remove it; a later version will know it")
        elif kind in self.reserved:
            self.problems.error("not supported", f"{kind}: {self.reserved[kind]}", at, "remove it")
        else:
            known = [*LABELLED, *OTHERS, *self.types]
            near = nearest(kind, known)
            self.problems.error("unknown block", f"{kind}", at,
                                f"did you mean {near!r}?" if near else f"known: {listed(sorted(known), 30)}")

    def _labelled(self, kind: str, body: Node, into: dict[str, Entry]) -> None:
        if is_null(body):
            return
        if not isinstance(body, Map):
            self.problems.error("wrong type", f"{kind}: a map of labels to bodies is expected, {describe(body)} found",
                                body.at, f"write {kind}: {{LABEL: {{…}}}}")
            return
        for (label, node), at in zip(body.items.items(), body.keys, strict=True):
            if label in into:
                first = self.problems.sources.mark(into[label][1])
                self.problems.error("declared twice", f"{kind}.{label} is declared at {first} and at "
                                    f"{self.problems.sources.mark(at)}", at, "rename or remove one of the two")
                continue
            if not LABEL.match(label):
                self.problems.error("not a label", f"{kind}: {label!r}", at,
                                    "use letters, digits and _, a letter first; other names go into `name:`")
                continue
            into[label] = (node, at)

    def _fleet(self, body: Node, at: int, main: bool) -> None:
        if self.document.fleet is not None:
            first = self.problems.sources.mark(self.document.fleet_at)
            self.problems.error("declared twice", f"fleet: is declared at {first} too", at, "keep one of the two")
        elif not main:
            self.problems.error("fleet: in an included file", "included files have no fleet: of their own", at,
                                "move it to the fleet's main file")
        elif not isinstance(body, Map):
            self.problems.error("wrong type", f"fleet: a map is expected, {describe(body)} found", at,
                                "write fleet: {name: NAME}")
        else:
            self.document.fleet, self.document.fleet_at = body, at

    def _include(self, body: Node, path: Path) -> Iterator[Path]:
        for item in body.items if isinstance(body, Seq) else [body]:
            if not isinstance(item, Scalar) or is_null(item) or "${" in item.text:
                self.problems.error("include needs paths", f"{describe(item)} found", item.at,
                                    "write include: [FILE-OR-FOLDER], without expressions")
                continue
            target = Path(os.path.normpath(path.parent / item.text))
            try:
                found = root_files(target)
            except FleetError as error:
                for d in error.diagnostics:
                    self.problems.error(f"include: {d.summary}", d.detail, item.at,
                                        "paths are relative to the file that includes")
                continue
            yield from found


