"""Reading an emitted file before it runs: it may define functions and classes of torch, and reach no further.

What runs inside the checker could make it say anything. So a source is read as a tree first, and everything
in it must be known: the kinds of statements and expressions, builtins, and every attribute. An attribute is
one of `words.py`, all of which compute and none of which reaches a file, the interpreter or the memory; or a
name that the file itself gives, and that nothing known has. By induction nothing else is ever in reach: what
an allowed attribute of something allowed gives is allowed. Attributes are set on `self` in `__init__` alone,
classes inherit from `nn.Module` and `Function` alone and have no special methods, so that nothing that exists
is changed. That nothing is remembered from call to call is watched while the module runs (`watched.py`).
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from types import BuiltinFunctionType, FrameType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any

import torch

from .nullity import Wrong
from .words import BUILTINS, IMPORTS, MODULES, ROOTS, WORDS

STATEMENTS = (
    *(
        ast.Module,
        ast.Import,
        ast.ImportFrom,
        ast.alias,
        ast.FunctionDef,
        ast.ClassDef,
        ast.arguments,
        ast.arg,
    ),
    *(ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Return, ast.Pass, ast.Raise, ast.Assert),
    *(ast.If, ast.For, ast.With, ast.withitem, ast.Break, ast.Continue),
)
EXPRESSIONS = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Starred, ast.Call, ast.keyword),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Tuple, ast.List, ast.Dict, ast.Set),
    *(ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp, ast.comprehension),
    *(ast.JoinedStr, ast.FormattedValue, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)
DECORATORS = ("staticmethod", "torch.no_grad()")
BASES = ("nn.Module", "torch.autograd.Function")
RESERVED = {
    name
    for known in (
        *(
            torch,
            torch.nn,
            torch.nn.functional,
            torch.nn.init,
            torch.Tensor,
            torch.nn.Module,
            torch.Generator,
        ),
        *(
            torch.autograd.Function,
            torch.autograd.function.FunctionCtx,
            torch.Size,
            torch.dtype,
            torch.device,
        ),
        *(str, bytes, int, float, complex, dict, list, tuple, set, type, map, zip, range, slice, Exception),
        *(FunctionType, MethodType, BuiltinFunctionType, GeneratorType, FrameType, ModuleType, math),
    )
    for name in dir(known)
}
"""Names that something known has: a file that defines one of them might mean that."""


def import_source(source: bytes, name: str) -> ModuleType:
    """The module that a source defines, entered nowhere."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Wrong(f"{name} is no Python source: {type(error).__name__}") from None
    for line, found in suspicious(tree):
        raise Wrong(f"{name}:{line} {found}: no emitted file does, and it is not run")
    module = ModuleType("emitted")
    try:
        exec(compile(tree, name, "exec"), module.__dict__)
    except Exception as error:
        raise Wrong(f"{name} cannot be imported: {type(error).__name__}: {error}") from None
    return module


def suspicious(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The lines of a source with something that is not known, and what it is."""
    yield from misplaced(tree)
    nodes = list(ast.walk(tree))
    known = bound(nodes) | BUILTINS | ROOTS.keys() | {"math", "itertools", "Tensor", "annotations"}
    own, owners = own_names(tree), {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    asked = set(asked_types(nodes))
    for node in nodes:
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Import() | ast.ImportFrom() if ast.unparse(node) not in IMPORTS:
                yield line, "imports something else"
            case ast.Name(id=name, ctx=ast.Load()) if name not in known or name.startswith("__"):
                yield line, f"uses `{name}`"
            case ast.Name(id=name) | ast.arg(arg=name) if name in ROOTS and not is_load(node):
                yield line, f"gives `{name}` another meaning"
            case ast.Name(id="type") if id(node) not in asked:
                yield line, "uses `type` for more than to compare it or name it"
            case ast.Attribute(attr="__init__") if ast.unparse(node) != "super().__init__":
                yield line, "calls `__init__`"
            case ast.Attribute(attr="__name__", ctx=ast.Load()) | ast.Attribute(attr="__init__"):
                pass
            case ast.Attribute(attr=name) if name not in WORDS and (name not in own or name in RESERVED):
                yield line, f"uses `{name}`"
            case _ if not isinstance(node, STATEMENTS + EXPRESSIONS):
                yield line, f"has a {type(node).__name__}"
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(found := meaning(node), ModuleType):
            if found not in MODULES or (id(node) not in owners and is_load(node)):
                yield line, f"reaches for the module {ast.unparse(node)}"


def misplaced(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Statements at module level and in classes that do more than define, and attributes set elsewhere."""
    setters = set[int]()
    for top in tree.body:
        if isinstance(top, (ast.Assign, ast.AnnAssign)) and not (top.value and is_literal(top.value)):
            yield top.lineno, "computes something when it is imported"
        if isinstance(top, ast.Expr) and not (is_text(top) or is_wrap(top)):
            yield top.lineno, "does something when it is imported"
        if not isinstance(top, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign)):
            if not isinstance(top, (ast.AnnAssign, ast.Expr)):
                yield top.lineno, f"has a {type(top).__name__} outside of functions"
        for inner in top.body if isinstance(top, ast.ClassDef) else ():
            if not (isinstance(inner, ast.FunctionDef) or is_text(inner)):
                yield inner.lineno, "has a class with more than methods"
            if isinstance(inner, ast.FunctionDef) and (owner := SETTERS.get(inner.name)):
                setters |= {
                    id(n) for n in ast.walk(inner) if isinstance(n, ast.Attribute) and is_name(n.value, owner)
                }
    classes = {id(inner) for top in tree.body if isinstance(top, ast.ClassDef) for inner in top.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not is_load(node) and id(node) not in setters:
            yield node.lineno, "sets an attribute of something else, or outside of `__init__`"
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base) for base in node.bases]
            if node not in tree.body or node.keywords or node.decorator_list or set(bases) - set(BASES):
                yield node.lineno, "has a class of another kind"
        if isinstance(node, ast.FunctionDef):
            if node.name.startswith("__") and not (node.name == "__init__" and id(node) in classes):
                yield node.lineno, f"defines `{node.name}`"
            if {ast.unparse(d) for d in node.decorator_list} - set(DECORATORS):
                yield node.lineno, "has a decorator"
        if isinstance(node, ast.arguments):
            for default in (*node.defaults, *(d for d in node.kw_defaults if d)):
                if not isinstance(default, ast.Constant):
                    yield default.lineno, "has a default that is no plain value"


SETTERS = {"__init__": "self", "setup_context": "ctx"}
"""Where attributes are set, and of what."""


def own_names(tree: ast.Module) -> set[str]:
    """The attributes that a file gives its classes: methods, what `__init__` sets, and buffers."""
    nodes = list(ast.walk(tree))
    methods = {f.name for c in tree.body if isinstance(c, ast.ClassDef) for f in c.body if hasattr(f, "name")}
    stored = {n.attr for n in nodes if isinstance(n, ast.Attribute) and not is_load(n)}
    buffers = {
        n.args[0].value
        for n in nodes
        if isinstance(n, ast.Call) and getattr(n.func, "attr", "") == "register_buffer"
        if n.args and isinstance(n.args[0], ast.Constant)
    }
    return (methods | stored | {name for name in buffers if isinstance(name, str)}) - SETTERS.keys()


def bound(nodes: list[ast.AST]) -> set[str]:
    """The names that a file binds somewhere."""
    names = {n.id for n in nodes if isinstance(n, ast.Name) and not is_load(n)}
    names |= {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    return names | {n.arg for n in nodes if isinstance(n, ast.arg)}


def asked_types(nodes: list[ast.AST]) -> Iterator[int]:
    """Where `type` stands in `type(x).__name__`, or in a comparison: a type that is called makes classes."""
    for node in nodes:
        calls: list[ast.expr] = []
        match node:
            case ast.Compare(left=call) | ast.Attribute(attr="__name__", value=call):
                calls = [call]
        for call in calls:
            if isinstance(call, ast.Call) and len(call.args) == 1 and not call.keywords:
                yield id(call.func)


def meaning(node: ast.expr) -> object:
    """What `torch.a.b` or `F.a` means, if it begins at a module that emitted files import."""
    if isinstance(node, ast.Name):
        return ROOTS.get(node.id)
    return getattr(meaning(node.value), node.attr, None) if isinstance(node, ast.Attribute) else None


# What a node is


def is_load(node: Any) -> bool:
    """Whether a name or attribute is read."""
    return isinstance(getattr(node, "ctx", None), ast.Load)


def is_name(node: ast.expr, name: str) -> bool:
    """Whether an expression is this name."""
    return isinstance(node, ast.Name) and node.id == name


def is_literal(node: ast.expr) -> bool:
    """Whether an expression is made of plain values."""
    plain = (ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.BinOp, ast.UnaryOp)
    parts = (n for n in ast.walk(node) if isinstance(n, ast.expr))
    return all(isinstance(n, plain) or isinstance(n, ast.Starred) for n in parts)


def is_text(node: ast.stmt) -> bool:
    """Whether a statement is a text, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_wrap(node: ast.Expr) -> bool:
    """Whether a statement makes a function a leaf of symbolic traces."""
    call: Any = node.value
    proper = isinstance(call, ast.Call) and ast.unparse(call.func) == "torch.fx.wrap"
    return proper and not call.keywords and all(isinstance(a, ast.Constant) for a in call.args)
