"""An emitted text as a module, for as long as it is looked at.

Takes text, gives a module. **This runs the text**: whoever proves a file trusts it as far as one that is
imported.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def imported(source: str) -> Iterator[ModuleType]:
    """The module that a text defines; tracebacks and traces show its lines.

    Raises:
        Exception: whatever the text raises when it is run.

    Example:
        >>> with imported("answer = 42") as module:
        ...     module.answer
        42
    """
    name = f"qecompile_proved_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    before = sys.modules.get(name)
    if before is not None:  # somebody else is looking at the same text
        yield before
        return
    module = ModuleType(name)
    module.__file__ = f"<{name}>"
    linecache.cache[module.__file__] = (len(source), None, source.splitlines(keepends=True), module.__file__)
    sys.modules[name] = module
    try:
        exec(compile(source, module.__file__, "exec"), module.__dict__)
        yield module
    finally:
        sys.modules.pop(name, None)
        linecache.cache.pop(module.__file__, None)


def public_classes(module: ModuleType) -> dict[str, type]:
    """The classes that the module itself defines under a public name, in order."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__ and not name.startswith("_")
    }


def same_syntax(left: str, right: str) -> bool:
    """Whether two texts differ in comments, docstrings and layout only.

    Example:
        >>> same_syntax("def f(): return 1  # one", "def f(): return (1)")
        True
    """
    return _meaning(left) == _meaning(right)


def _meaning(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return ast.dump(tree)
