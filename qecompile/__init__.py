"""qecompile: from a symmetry spec to a complete equivariant network over weights.

Each public name is imported on first use: `Group`, checkpoints and what `build` gives need torch, the rest
does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from qecompile.version import __version__

if TYPE_CHECKING:
    from qecompile.alignment.align import align
    from qecompile.checkpoints.acting import act_checkpoint
    from qecompile.checkpoints.elements import load_element, save_element
    from qecompile.checkpoints.reading import read_checkpoint, stream_checkpoint
    from qecompile.errors import SymError
    from qecompile.groups import Group
    from qecompile.inference.discover import infer
    from qecompile.pipeline import build, derive, emit, load, parse, prove

__all__ = [
    "Group",
    "SymError",
    "__version__",
    "act_checkpoint",
    "align",
    "build",
    "derive",
    "emit",
    "infer",
    "load",
    "load_element",
    "parse",
    "prove",
    "read_checkpoint",
    "save_element",
    "stream_checkpoint",
]

_HOMES = {
    "Group": "groups",
    "SymError": "errors",
    "act_checkpoint": "checkpoints.acting",
    "align": "alignment.align",
    "infer": "inference.discover",
    "load_element": "checkpoints.elements",
    "read_checkpoint": "checkpoints.reading",
    "save_element": "checkpoints.elements",
    "stream_checkpoint": "checkpoints.reading",
}


def __getattr__(name: str) -> object:
    """Find a public name in its module: the pipeline, unless `_HOMES` says otherwise."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'pipeline')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names too, imported or not."""
    return sorted({*globals(), *__all__})
