"""Reading an emitted file before it runs: it may define classes and functions of torch, and touch no more.

What runs inside the checker could make it say anything. So a source is not run if it imports more than
emitted files do, uses a module as a value or a module inside torch, names what Python keeps private, sets
attributes of anything but itself, or remembers calls. A fence, no prison: read a file that you do not trust.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch

from .nullity import Wrong

IMPORTS = set(
    "import itertools|import math|import torch|import torch.fx|import torch.nn.functional as F|"
    "from torch import Tensor, nn|from __future__ import annotations".split("|")
)
ROOTS: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}
MODULES = [torch, torch.nn, torch.nn.functional, torch.nn.init, torch.fx, torch.linalg]
MODULES += [torch.autograd, torch.compiler]
FORBIDDEN = frozenset(
    "exec eval compile open input breakpoint globals locals vars getattr setattr delattr load save hub jit "
    "library manual_seed seed set_default_dtype set_default_device set_num_threads set_rng_state from_file "
    "register_forward_hook register_module_forward_hook register_hook".split()
)
MAKERS = ("__init__", "setup_context", "forward")
STATEMENTS = (ast.Global, ast.Nonlocal, ast.Try, ast.While, ast.AsyncFunctionDef, ast.Delete, ast.Yield)


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
    """The lines of a source that could reach outside, and what they do."""
    nodes = list(ast.walk(tree))
    owners = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    made = {
        id(inner)
        for node in nodes
        if isinstance(node, ast.FunctionDef) and node.name in MAKERS
        for inner in ast.walk(node)
        if node.name == "__init__" or getattr(getattr(inner, "value", None), "id", None) == "ctx"
    }
    for node in nodes:
        match node:
            case ast.Import() | ast.ImportFrom() if ast.unparse(node) not in IMPORTS:
                yield node.lineno, "imports something else"
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in FORBIDDEN or is_private(name):
                yield node.lineno, f"uses `{name}`"
            case ast.Attribute(ctx=ast.Store()) if id(node) not in made:
                yield node.lineno, "sets an attribute outside of `__init__`"
            case ast.Attribute(value=owner, ctx=ast.Store()) if ast.unparse(owner) not in ("self", "ctx"):
                yield node.lineno, "sets an attribute of something else"
            case ast.Name() | ast.Attribute() if isinstance(found := meaning(node), ModuleType):
                if found not in MODULES or (id(node) not in owners and isinstance(node.ctx, ast.Load)):
                    yield node.lineno, f"reaches for the module {ast.unparse(node)}"
            case ast.stmt() | ast.expr() if isinstance(node, STATEMENTS):
                yield node.lineno, f"has a {type(node).__name__}"


def is_private(name: str) -> bool:
    """Whether a name is Python's own machinery."""
    return name.startswith("__") and name not in ("__init__", "__name__")


def meaning(node: ast.expr) -> object:
    """What `torch.a.b` or `F.a` means, if it begins at a module that emitted files import."""
    if isinstance(node, ast.Name):
        return ROOTS.get(node.id)
    return getattr(meaning(node.value), node.attr, None) if isinstance(node, ast.Attribute) else None
