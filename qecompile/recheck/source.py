"""Reading an emitted file before it runs: it may define classes and functions of torch, and touch no more.

What runs inside the checker could make it say anything, so a source that reaches further (other imports,
private names, attributes of anything but `self`, modules inside torch) is not run. A fence, no prison.
"""

from __future__ import annotations

import ast
from types import ModuleType
from typing import Any

import torch

from .nullity import Wrong

IMPORTS = {"__future__", "itertools", "math", "torch", "torch.fx", "torch.nn", "torch.nn.functional"}
ROOTS: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}
MODULES = [torch, torch.nn, torch.nn.functional, torch.nn.init, torch.fx, torch.linalg]
MODULES += [torch.autograd, torch.compiler]
FORBIDDEN = frozenset(
    "exec eval compile open input breakpoint globals locals vars getattr setattr delattr load save hub jit "
    "library manual_seed seed set_default_dtype set_default_device set_num_threads set_rng_state from_file "
    "register_forward_hook register_module_forward_hook register_hook "
    "__import__ __builtins__".split()
)
STATEMENTS = (
    ast.Global, ast.Nonlocal, ast.Try, ast.AsyncFunctionDef, ast.Delete, ast.Await, ast.Yield, ast.YieldFrom
)  # fmt: skip


def import_source(source: bytes, name: str) -> ModuleType:
    """The module that a source defines, entered nowhere."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Wrong(f"{name} is no Python source: {type(error).__name__}") from None
    for node in ast.walk(tree):
        if found := suspicious(node):
            line = getattr(node, "lineno", 1)
            raise Wrong(f"{name}:{line} {found}: no emitted file does, and it is not run")
    module = ModuleType("emitted")
    try:
        exec(compile(tree, name, "exec"), module.__dict__)
    except Exception as error:
        raise Wrong(f"{name} cannot be imported: {type(error).__name__}: {error}") from None
    return module


def suspicious(node: ast.AST) -> str | None:
    """What a node of the source does that could reach outside."""
    match node:
        case ast.Import(names=names) if not {n.name for n in names} <= IMPORTS:
            return f"imports {names[0].name}"
        case ast.ImportFrom(module=module, level=level) if level or module not in IMPORTS:
            return f"imports from {module}"
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in FORBIDDEN or is_private(name):
            return f"uses `{name}`"
        case ast.Attribute(value=owner, ctx=ast.Store()) if ast.unparse(owner) not in ("self", "ctx"):
            return "sets an attribute of something else"
        case ast.Attribute() if isinstance(meaning(node), ModuleType) and meaning(node) not in MODULES:
            return f"reaches into the module {ast.unparse(node)}"
        case _ if isinstance(node, STATEMENTS):
            return f"has a {type(node).__name__}"
    return None


def is_private(name: str) -> bool:
    """Whether a name is Python's own machinery."""
    return name.startswith("__") and name not in ("__init__", "__name__")


def meaning(node: ast.expr) -> object:
    """What `torch.a.b` or `F.a` means, if it begins at a module that emitted files import."""
    if isinstance(node, ast.Name):
        return ROOTS.get(node.id)
    return getattr(meaning(node.value), node.attr, None) if isinstance(node, ast.Attribute) else None
