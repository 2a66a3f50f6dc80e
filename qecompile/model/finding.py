"""The object that a `model` statement names: imported, and made with the arguments of the spec.

Takes a spec, gives an `nn.Module` or a function of weights. Imports and calls the user's code, whose mistakes
are told as diagnostics at the `model` statement.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import torch
from torch import nn

from qecompile.errors import Note, SymError, fail, suggest
from qecompile.spec import Model, Spec

WEIGHTS = ("theta", "params", "parameters", "weights")
"""What the first parameter of a function of weights may be called."""

SEED = 20231


def find_model(spec: Spec) -> nn.Module | Callable[..., object]:
    """The network of the `model` statement of a spec, or the function of weights and inputs.

    The name stands for an `nn.Module`, for something that gives one when called with those arguments of the
    spec that it takes by name, or for a function whose first parameter is called as one of `WEIGHTS`. Modules
    are looked for beside the file of the spec, then in the working folder, then where Python looks.

    Raises:
        SymError: there is no such thing, or making it fails.
    """
    model = spec.model
    if model is None:
        help = 'declare it, as in: model "package.module:callable" with input normal(8, 784)'
        fail("QE300", f"spec `{spec.name}` names no model", help=help)
    found = _look_up(model, spec)
    if isinstance(found, nn.Module):
        return copy.deepcopy(found)
    if not callable(found):
        refuse("QE302", model, f"`{model.target}` is a {type(found).__name__}, and cannot be called")
    if not isinstance(found, type) and _takes_weights(found):
        return found
    with torch.random.fork_rng(devices=[]), guarded(model, "cannot be made"):
        torch.manual_seed(SEED)
        made = found(**_arguments(found, model, spec))
    if not isinstance(made, nn.Module):
        help = "it must give a torch.nn.Module, or take the weights as its first parameter, called `theta`"
        refuse("QE302", model, f"`{model.target}` gives a {type(made).__name__} and no module", help)
    return made


def refuse(code: str, model: Model, message: str, help: str | None = None, *notes: Note) -> NoReturn:
    """Fail with a message at the `model` statement."""
    fail(code, message, model.place, *notes, help=help)


@contextmanager
def guarded(model: Model, what: str) -> Iterator[None]:
    """Turn an exception of the user's code into a diagnostic that says where it was raised.

    Raises:
        SymError: something was raised inside.
    """
    try:
        yield
    except SymError:
        raise
    except (Exception, SystemExit) as failure:
        frames = traceback.extract_tb(failure.__traceback__)
        own = [f for f in frames if not f.filename.startswith((os.path.dirname(__file__), "<frozen"))]
        outside = [f for f in own if f"{os.sep}torch{os.sep}" not in f.filename] or own
        notes = [Note(f"raised at {outside[-1].filename}:{outside[-1].lineno}")] if outside else []
        words = " ".join(str(failure).split())[:300]
        refuse("QE303", model, f"`{model.target}` {what}: {type(failure).__name__}: {words}", None, *notes)


def _look_up(model: Model, spec: Spec) -> object:
    name, _, attribute = model.target.partition(":")
    beside = Path(spec.path).resolve().parent if Path(spec.path).is_file() else None
    places = [str(p) for p in dict.fromkeys([beside, Path.cwd()]) if p]
    with _importing_from(places):
        with guarded(model, "cannot be imported"):
            try:
                found: object = _import(name)
            except ModuleNotFoundError as missing:
                if missing.name is None or not f"{name}.".startswith(f"{missing.name}."):
                    raise  # the module is there, and one that it imports is not
                where = " or ".join(f"`{p}`" for p in places)
                help = f"modules are looked for in {where}, then where Python looks"
                refuse("QE300", model, f"there is no module `{name}`", help)
    for word in attribute.split("."):
        if not hasattr(found, word):
            near = suggest(word, [n for n in dir(found) if not n.startswith("_")])
            refuse("QE301", model, f"`{name}` has no `{word}`", near)
        found = getattr(found, word)
    return found


def _import(name: str) -> object:
    importlib.invalidate_caches()
    return importlib.import_module(name)


@contextmanager
def _importing_from(places: list[str]) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = places
    try:
        yield
    finally:
        sys.path[:] = before


def _takes_weights(found: Callable[..., object]) -> bool:
    try:
        first = next(iter(inspect.signature(found).parameters), None)
    except (TypeError, ValueError):
        return False
    return first in WEIGHTS


def _arguments(found: Callable[..., object], model: Model, spec: Spec) -> dict[str, object]:
    """The arguments of the spec that a callable takes; lists stay lists."""
    given: dict[str, object] = {n: list(v) if isinstance(v, tuple) else v for n, v in spec.arguments}
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return {}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return given
    missing = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        if p.name not in given or p.kind is p.POSITIONAL_ONLY
    ]
    if missing:
        help = f"give it a default, or give the spec a parameter `{missing[0]}`"
        refuse("QE302", model, f"`{model.target}` needs `{missing[0]}`, which the spec does not have", help)
    return {p.name: given[p.name] for p in parameters if p.name in given}
