"""Everything that an expression can name, evaluated when it is first asked for, and what was wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from planner.catalog import Catalog
from planner.config import variables
from planner.config.expression import Closure, compile_expression
from planner.config.nodes import DOUBLE, FOLDED, POISON, Given, Map, Node, Scalar, literal, style_of
from planner.config.problems import Problems, path_text, suggest
from planner.config.template import TemplateError, split
from planner.config.values import ExprError, Family, ImageRef, Reference, Scope, as_text, bounded
from planner.config.variables import Variable
from planner.model import Address, Attrs, Image, SecretRef, Unknown

if TYPE_CHECKING:
    from planner.config.bodies import Bodies

MAX_CHAIN = 50
"""How many references may be followed before the first is known: Python's stack ends somewhere behind it."""

_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

LATER: Mapping[str, str] = {
    "import": "import of what already runs", "policy": "policies",
    "bmc": "power through a BMC", "rollout": "rolling updates",
    "exclusive": "`exclusive: true` on anything but a host",
}
"""Blocks and keys of later versions, and what they are for."""


class Local(NamedTuple):
    """An evaluated local, and what it was made from."""

    value: Any
    refs: tuple[Address, ...]
    computed: bool


class Template(NamedTuple):
    """A compiled scalar: texts and (closure, column) pairs. `whole`: the one expression that is all of it."""

    parts: tuple[str | tuple[Closure, int], ...]
    whole: tuple[Closure, int] | None


class World:
    """Names → values. Its methods are what compiled expressions call; they raise ExprError."""

    __slots__ = ("_locals", "_templates", "_variables", "bodies", "catalog", "computed", "cyclic", "images", "known",
                 "locals", "name", "path_stack", "problems", "types", "variables")

    def __init__(self, catalog: Catalog, problems: Problems, known: Mapping[Address, Attrs]) -> None:
        self.catalog = catalog
        self.problems = problems
        self.known = known
        self.name = ""
        self.types = frozenset(t.name for t in catalog.types.values() if not t.parent)
        self.images: dict[str, Image] = {}
        self.variables: dict[str, Variable] = {}
        self.locals: dict[str, Node] = {}
        self.bodies: Bodies | None = None
        self.path_stack: list[object] = []
        self.computed: dict[str, tuple[Node, Any]] = {}  # what needs values that only live or state knows: its source
        self.cyclic: set[Address] = set()  # roots on cycles that were reported
        self._variables: dict[str, Local] = {}
        self._locals: dict[str, Local] = {}
        self._templates: dict[str, Template | ExprError] = {}

    def scope(self, each: tuple[str, Any] | None = None, lint: bool = False) -> Scope:
        return Scope(self, each, lint)

    def later(self, key: str) -> str:
        """What a key of a later version is for; "" for others."""
        return self.catalog.reserved.get(key) or LATER.get(key, "")

    # --- evaluation ---------------------------------------------------------------------------------------

    def evaluate(self, node: Scalar, scope: Scope) -> Any:
        """The value of a scalar with expressions; POISON after a report."""
        template = self._templates.get(node.text)
        if template is None:
            template = self._templates[node.text] = self._compile(node.text)
        if isinstance(template, ExprError):
            return self._report(template, node)
        before = scope.at
        scope.at = node.at
        column = 0
        try:
            if template.whole is not None:
                column = template.whole[1]
                return template.whole[0](scope)
            out: list[str] = []
            for part in template.parts:
                if isinstance(part, str):
                    out.append(part)
                    continue
                column = part[1]
                text = as_text(part[0](scope))
                if isinstance(text, Unknown):
                    return text
                out.append(text)
            return bounded("".join(out))
        except ExprError as error:
            return self._report(error, node, column)
        finally:
            scope.at = before

    def _compile(self, text: str) -> Template | ExprError:
        try:
            parts: list[str | tuple[Closure, int]] = []
            for part in split(text):
                if not part.expression:
                    parts.append(part.text)
                    continue
                try:
                    parts.append((compile_expression(part.text, self.types), part.offset))
                except ExprError as error:
                    error.offset = max(error.offset, 0) + part.offset
                    raise
        except TemplateError as error:
            return ExprError("a ${ without its }", "the expression is never closed",
                             "quote the whole value if the expression contains # or quotes; write $${ for a literal ${",
                             error.offset)
        except ExprError as error:
            return error
        only = parts[0] if len(parts) == 1 else None
        return Template(tuple(parts), only if isinstance(only, tuple) else None)

    def _report(self, error: ExprError, node: Scalar, column: int = 0) -> Unknown:
        style = style_of(node.at)
        at = node.at
        if style != FOLDED and not (style == DOUBLE and ('"' in node.text or "\\" in node.text)):
            at = node.at + ((max(error.offset, 0) + column + (1 if style else 0)) << 2)
        self.problems.error(error.summary, error.detail, at & ~3, error.remedy)
        return POISON

    def untyped(self, node: Node, scope: Scope) -> Any:
        """The value of a node without a schema: locals, defaults, for_each."""
        if isinstance(node, Scalar):
            return self.evaluate(node, scope) if "${" in node.text else literal(node)
        if isinstance(node, Map):
            return {key: self.untyped(item, scope) for key, item in node.items.items()}
        if isinstance(node, Given):
            scope.refs.update(dict.fromkeys(node.refs))
            scope.computed = scope.computed or node.computed
            return node.value
        return [self.untyped(item, scope) for item in node.items]

    def enter(self, what: object) -> None:
        """Begin to evaluate something; raises ExprError where it is already being evaluated, or too deep."""
        if what in self.path_stack:
            cycle = [*self.path_stack[self.path_stack.index(what):], what]
            self.cyclic.update(a.root for a in cycle if isinstance(a, Address))
            raise ExprError("a cycle of references", path_text(cycle),
                            "break it: one of them must not refer to the next")
        if len(self.path_stack) >= MAX_CHAIN:
            raise ExprError("a chain of references is too long",
                            f"{len(self.path_stack)} references lead to {what}", "refer to the first of them directly")
        self.path_stack.append(what)

    # --- names --------------------------------------------------------------------------------------------

    def variable(self, name: str, scope: Scope) -> Any:
        """`var.name`"""
        found = self._variables.get(name)
        if found is None:
            variable = self.variables.get(name)
            if variable is None:
                raise ExprError("undeclared variable", f"var.{name}", suggest(name, self.variables, "declared"))
            self.enter(f"var.{name}")
            subject, self.problems.subject = self.problems.subject, None
            try:
                own = self.scope()
                value = variables.evaluate(variable, self, own)
                found = self._variables[name] = Local(value, (), own.computed)
            finally:
                self.problems.subject = subject
                self.path_stack.pop()
        return found.value

    def local(self, name: str, scope: Scope) -> Any:
        """`local.name`; what it refers to counts as referred to by whoever asks."""
        found = self._locals.get(name)
        if found is None:
            node = self.locals.get(name)
            if node is None:
                raise ExprError("undeclared local", f"local.{name}", suggest(name, self.locals, "declared"))
            self.enter(f"local.{name}")
            subject, self.problems.subject = self.problems.subject, None  # what is wrong here is nobody else's fault
            try:
                own = self.scope()
                value = self._limited(self.untyped(node, own), node)
                found = self._locals[name] = Local(value, tuple(own.refs), own.computed)
            finally:
                self.problems.subject = subject
                self.path_stack.pop()
        if found.refs:
            scope.refs.update(dict.fromkeys(found.refs))
        if found.computed:
            scope.computed = True
        return found.value

    def inputs(self) -> dict[str, Any]:
        """Values of all variables, and of the locals that need no computed value."""
        found = {f"var.{name}": one.value for name, one in self._variables.items()}
        found.update((f"local.{name}", one.value) for name, one in self._locals.items() if not one.computed)
        return found

    def _limited(self, value: Any, node: Node) -> Any:
        try:
            return bounded(value)
        except ExprError as error:
            self.problems.error(error.summary, error.detail, node.at, error.remedy)
            return POISON

    def image(self, name: str) -> ImageRef:
        """`image.name`"""
        if name not in self.images:
            raise ExprError("undeclared image", f"image.{name}", suggest(name, self.images, "declared"))
        return ImageRef(name)

    def image_field(self, name: str, field: str) -> Any:
        """`image.name.field`"""
        if field not in ("name", "source", "sha256", "build"):
            raise ExprError("no such attribute", f"image.{name}.{field}", "use name, source, sha256 or build")
        return getattr(self.images[name], field) or Unknown(f"image.{name}.{field}")

    def secret(self, text: str, scope: Scope) -> SecretRef:
        """`secret("env:NAME")`, `secret("file:PATH")`; a relative path starts at the declaring file."""
        return self.secret_reference(text, self.problems.sources.folder(scope.at))

    def secret_reference(self, text: str, folder: Path) -> SecretRef:
        """Check a reference to a secret. Never quotes it: people paste passwords here."""
        kind, _, rest = text.partition(":")
        if kind == "env" and _ENV.match(rest):
            return SecretRef(text)
        if kind == "file" and rest and "\0" not in rest:
            return SecretRef(f"file:{(folder / Path(rest).expanduser()).resolve()}")
        raise ExprError("not a reference to a secret", "a reference begins with env: or file:",
                        'write secret("env:NAME") or secret("file:PATH"), never the secret itself')

    def path(self, text: str, at: int) -> str:
        """A path field's value: absolute, from the folder of the declaring file."""
        return str((self.problems.sources.folder(at) / Path(text).expanduser()).resolve()) if text else text

    # --- resources ----------------------------------------------------------------------------------------

    def declared(self, type_name: str, label: str, scope: Scope) -> Reference | Family | Unknown:
        """`cluster.prod`: the resource, or all instances of a `for_each` block."""
        assert self.bodies is not None  # noqa: S101
        return self.bodies.declared(type_name, label)

    def read(self, address: Address, name: str, scope: Scope) -> Any:
        """An attribute of a resource, or what hangs on it."""
        assert self.bodies is not None  # noqa: S101
        bodies = self.bodies
        if not address.child_type:
            child = bodies.hanging(address, name)
            if child is not None:
                return child
        rtype = self.catalog.types[address.rtype]
        field = rtype.fields.get(name)
        if field is None and name not in rtype.facts:
            kids = [t.name for t in self.catalog.children(address.type)] if not address.child_type else []
            raise ExprError("no such attribute", f"{address}.{name}",
                            suggest(name, [*rtype.fields, *rtype.facts, *kids], f"a {rtype.name} has"))
        scope.refs[address] = None
        resource = bodies.resource(address)
        if resource is None:
            return POISON
        value: Any = resource.attributes.get(name)
        if value is None:
            scope.computed = True
            value = self.known.get(address, {}).get(name)
            if value is None:
                return Unknown(f"{address}.{name}")
        if field is not None and isinstance(value, str):
            if field.kind == "ref":
                try:
                    return Reference(Address.parse(value))
                except ValueError:  # state knows a place that nobody declared
                    return value
            if field.kind == "image":
                return ImageRef(value)
        return value
