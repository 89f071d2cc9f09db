"""Expressions → closures, by a whitelist over Python's `ast`. Nothing of Python is reachable from inside.

An expression is one `eval`-mode syntax tree of which only the node types below are understood; a name is a root
of references, never a Python name; attribute access looks into maps and resources, never at Python objects.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from planner.config.functions import FUNCTIONS, LATER, Function
from planner.config.operators import arithmetic, compare, negative, truth
from planner.config.problems import listed, suggest
from planner.config.values import ExprError, Scope, attribute, bounded, find, index, refuse_secret
from planner.model import SecretRef, Unknown

Closure: TypeAlias = Callable[[Scope], Any]

MAX_LENGTH = 4000
MAX_NODES = 600
MAX_NESTING = 40

ROOTS = ("var", "local", "each", "image", "fleet")
CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
_BINARY: Mapping[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%",
}
_COMPARE: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in",
    ast.NotIn: "not in",
}
_REFUSED: Mapping[str, str] = {
    "Lambda": "functions cannot be defined", "ListComp": "there are no loops", "SetComp": "there are no loops",
    "DictComp": "there are no loops", "GeneratorExp": "there are no loops", "JoinedStr": "there are no f-strings",
    "NamedExpr": "nothing can be assigned", "Slice": "there are no slices", "Starred": "there is no * before a value",
    "Set": "there are no set literals; use a list", "Tuple": "there are no tuples; use a list",
    "Await": "there is no await", "Yield": "there is no yield",
}


def compile_expression(text: str, types: frozenset[str]) -> Closure:
    """The closure of one expression. `types`: names of root resource types. Raises ExprError."""
    if len(text) > MAX_LENGTH:
        raise ExprError("an expression is too long", f"{len(text)} characters; the limit is {MAX_LENGTH}")
    flat = text.replace("\n", " ").replace("\r", " ")
    source = flat.strip()
    shift = len(flat) - len(flat.lstrip())
    if not source:
        raise ExprError("an empty expression", "nothing stands between ${ and }", "write a literal $${ if it is text")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. an invalid escape in a string: Python's business, not the user's
            tree = ast.parse(source, mode="eval")
    except SyntaxError as error:
        offset = min(max((error.offset or 1) - 1, 0), len(source)) + shift
        raise ExprError("not an expression", _syntax(source, str(error.msg)), _hint(source), offset) from None
    except (RecursionError, MemoryError, ValueError):
        raise ExprError("an expression is nested too deeply", f"the limit is {MAX_NESTING} levels") from None
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise ExprError("an expression is too large", f"the limit is {MAX_NODES} parts", "split it with locals")
    try:
        return Compiler(types).visit(tree.body, 0)
    except ExprError as error:
        if error.offset >= 0:
            error.offset += shift
        raise


def _syntax(source: str, message: str) -> str:
    return f"{source!r}: {message}" if len(source) < 120 and "secret" not in source else message


def _hint(source: str) -> str:
    if "&&" in source or "||" in source or re.search(r"!(?!=)", source):
        return "write `and`, `or`, `not`"
    if "?" in source:
        return "write A if CONDITION else B"
    if re.search(r"\bfor\b", source):
        return "there are no loops; use for_each on the block, or a function"
    return ""


class Compiler:
    """One expression's nodes → closures."""

    __slots__ = ("types",)

    def __init__(self, types: frozenset[str]) -> None:
        self.types = types

    def visit(self, node: ast.expr, depth: int) -> Closure:
        if depth > MAX_NESTING:
            raise ExprError("an expression is nested too deeply", f"the limit is {MAX_NESTING} levels")
        name = type(node).__name__
        method: Callable[[Any, int], Closure] | None = getattr(self, f"visit_{name}", None)
        if method is None:
            raise ExprError("not part of the language", _REFUSED.get(name, f"{name} is not supported"), "",
                            node.col_offset)
        return method(node, depth + 1)

    def visit_Constant(self, node: ast.Constant, depth: int) -> Closure:
        value = node.value
        if not isinstance(value, (str, int, float)) and value is not None:
            raise ExprError("not part of the language", f"a literal of type {type(value).__name__}", "",
                            node.col_offset)
        bounded(value)
        return lambda scope: value

    def visit_Name(self, node: ast.Name, depth: int) -> Closure:
        name = node.id
        if name in CONSTANTS:
            constant = CONSTANTS[name]
            return lambda scope: constant
        if name in ROOTS or name in self.types:
            example = {"each": "each.key or each.value"}.get(name, f"{name}.NAME")
            raise ExprError("an incomplete reference", f"{name!r} alone names nothing", f"write {example}",
                            node.col_offset)
        if name in FUNCTIONS:
            raise ExprError("not a value", f"{name} is a function", f"write {name}(…)", node.col_offset)
        known = [*ROOTS, *self.types]
        remedy = suggest(name, known) or "references begin with var., local., each., or a resource type"
        if name.startswith("_"):
            remedy = "names never begin with an underscore"
        raise ExprError("unknown name", f"{name!r} names nothing", remedy, node.col_offset)

    def visit_Attribute(self, node: ast.Attribute, depth: int) -> Closure:
        name, offset = node.attr, node.col_offset
        if name.startswith("_"):
            raise ExprError("an attribute cannot begin with an underscore", f"{name!r}", "", offset)
        if isinstance(node.value, ast.Name) and (node.value.id in ROOTS or node.value.id in self.types):
            return _located(_root(node.value.id, name, offset), offset)
        inner = self.visit(node.value, depth)
        return _located(lambda scope: attribute(inner(scope), name, scope), offset)

    def visit_Subscript(self, node: ast.Subscript, depth: int) -> Closure:
        if isinstance(node.value, ast.Name) and (node.value.id in ROOTS or node.value.id in self.types):
            name = node.value.id
            raise ExprError("an incomplete reference", f"[ ] directly behind {name!r}", f"write {name}.LABEL",
                            node.col_offset)
        inner = self.visit(node.value, depth)
        key = self.visit(node.slice, depth)
        return _located(lambda scope: index(inner(scope), key(scope), scope), node.col_offset)

    def visit_BinOp(self, node: ast.BinOp, depth: int) -> Closure:
        symbol = _BINARY.get(type(node.op))
        if symbol is None:
            shown = {"Pow": "**", "Div": "/"}.get(type(node.op).__name__, type(node.op).__name__)
            raise ExprError("not part of the language", f"the operator {shown}",
                            "use // (whole numbers)" if shown == "/" else "the operators are + - * // %",
                            node.col_offset)
        left, right = self.visit(node.left, depth), self.visit(node.right, depth)
        return lambda scope: arithmetic(symbol, left(scope), right(scope))

    def visit_UnaryOp(self, node: ast.UnaryOp, depth: int) -> Closure:
        inner = self.visit(node.operand, depth)
        if isinstance(node.op, ast.USub):
            return lambda scope: negative(inner(scope))
        if isinstance(node.op, ast.Not):
            def negate(scope: Scope) -> Any:
                value = truth(inner(scope), "the operand of `not`")
                return value if isinstance(value, Unknown) else not value
            return negate
        raise ExprError("not part of the language", f"the operator {type(node.op).__name__}", "", node.col_offset)

    def visit_BoolOp(self, node: ast.BoolOp, depth: int) -> Closure:
        parts = [self.visit(value, depth) for value in node.values]
        stop = isinstance(node.op, ast.Or)
        what = "an operand of `or`" if stop else "an operand of `and`"

        def decide(scope: Scope) -> Any:
            unknown: Unknown | None = None
            for part in parts:
                value = truth(part(scope), what)
                if isinstance(value, Unknown):
                    unknown = unknown or value
                elif value is stop:
                    return stop
            return unknown if unknown is not None else not stop
        return decide

    def visit_Compare(self, node: ast.Compare, depth: int) -> Closure:
        symbols: list[str] = []
        for op in node.ops:
            if type(op) not in _COMPARE:
                raise ExprError("not part of the language", "the operator `is`", "use ==", node.col_offset)
            symbols.append(_COMPARE[type(op)])
        parts = [self.visit(value, depth) for value in (node.left, *node.comparators)]

        def decide(scope: Scope) -> Any:
            unknown: Unknown | None = None
            left = parts[0](scope)
            for symbol, part in zip(symbols, parts[1:], strict=True):
                right = part(scope)
                value = compare(symbol, left, right)
                if value is False:
                    return False
                if isinstance(value, Unknown):
                    unknown = unknown or value
                left = right
            return unknown if unknown is not None else True
        return decide

    def visit_IfExp(self, node: ast.IfExp, depth: int) -> Closure:
        test, yes, no = (self.visit(part, depth) for part in (node.test, node.body, node.orelse))

        def choose(scope: Scope) -> Any:
            value = truth(test(scope), "the condition of `if`")
            return value if isinstance(value, Unknown) else (yes(scope) if value else no(scope))
        return choose

    def visit_List(self, node: ast.List, depth: int) -> Closure:
        parts = [self.visit(value, depth) for value in node.elts]
        return lambda scope: bounded([part(scope) for part in parts])

    def visit_Dict(self, node: ast.Dict, depth: int) -> Closure:
        pairs: list[tuple[str, Closure]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                raise ExprError("not part of the language", "a key in { } must be quoted text", "use zipmap()",
                                node.col_offset)
            pairs.append((key.value, self.visit(value, depth)))
        return lambda scope: bounded({key: part(scope) for key, part in pairs})

    def visit_Call(self, node: ast.Call, depth: int) -> Closure:
        offset = node.col_offset
        if not isinstance(node.func, ast.Name):
            raise ExprError("not part of the language", "only the fixed functions can be called", "", offset)
        name = node.func.id
        if node.keywords:
            raise ExprError("not part of the language", f"{name}() takes no named arguments", "", offset)
        parts = [self.visit(value, depth) for value in node.args]
        if name == "secret":
            return _located(_secret(parts), offset)
        if name in LATER:
            raise ExprError("a function that is not supported in this version", f"{name}()", "", offset)
        function = FUNCTIONS.get(name)
        if function is None:
            raise ExprError("unknown function", f"{name}()",
                            suggest(name, [*FUNCTIONS, "secret"]) or
                            f"there are: {listed(sorted([*FUNCTIONS, 'secret']), 80)}", offset)
        if len(parts) < function.least or (0 <= function.most < len(parts)):
            raise ExprError("wrong number of arguments", f"{name}() got {len(parts)}", function.doc, offset)
        return _located(_call(name, function, parts), offset)


def _located(inner: Closure, offset: int) -> Closure:
    """Adds the column to errors that have none yet."""
    def closure(scope: Scope) -> Any:
        try:
            return inner(scope)
        except ExprError as error:
            if error.offset < 0:
                error.offset = offset
            raise
    return closure


def _root(root: str, name: str, offset: int) -> Closure:
    if root == "var":
        return lambda scope: scope.world.variable(name, scope)
    if root == "local":
        return lambda scope: scope.world.local(name, scope)
    if root == "image":
        return lambda scope: scope.world.image(name)
    if root == "fleet":
        if name != "name":
            raise ExprError("no such attribute", f"fleet.{name}", "use fleet.name", offset)
        return lambda scope: scope.world.name
    if root == "each":
        if name not in ("key", "value"):
            raise ExprError("no such attribute", f"each.{name}", "use each.key or each.value", offset)
        return lambda scope: _each(scope, name)
    return lambda scope: scope.world.declared(root, name, scope)


def _each(scope: Scope, name: str) -> Any:
    scope.used_each = True
    if scope.each is None:
        if scope.lint:
            return Unknown("each")
        raise ExprError("each outside of for_each", f"each.{name} has a value only where the block has for_each")
    return scope.each[0] if name == "key" else scope.each[1]


def _call(name: str, function: Function, parts: list[Closure]) -> Closure:
    call, structural = function.call, function.structural

    def closure(scope: Scope) -> Any:
        arguments = [part(scope) for part in parts]
        for value in arguments:
            if isinstance(value, Unknown):
                if name == "coalesce":
                    continue
                return value
            if structural:
                if isinstance(value, SecretRef) and name == "length":
                    refuse_secret(value, f"{name}()")
                continue
            refuse_secret(value, f"{name}()")
            hidden = find(value, Unknown) if isinstance(value, (list, dict)) else None
            if hidden is not None:
                return Unknown(hidden.why)
        try:
            return bounded(call(*arguments))
        except (ValueError, TypeError, OverflowError) as error:
            raise ExprError("wrong argument", f"{name}(): {error}", function.doc) from None
    return closure


def _secret(parts: list[Closure]) -> Closure:
    if len(parts) != 1:
        raise ExprError("wrong number of arguments", "secret() takes one", 'write secret("env:NAME")')

    def closure(scope: Scope) -> Any:
        value = parts[0](scope)
        if isinstance(value, Unknown):
            raise ExprError("a secret's reference must be known", "it is known only after apply")
        refuse_secret(value, "secret()")
        if not isinstance(value, str):
            raise ExprError("not a reference to a secret", "secret() needs text", 'write secret("env:NAME")')
        return scope.world.secret(value, scope)
    return closure


