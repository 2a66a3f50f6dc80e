"""A module as a graph of operators: exported in eval mode, in float64, before any operator is taken apart.

Takes a module and inputs, gives a `Captured`: nodes, tensors by the name they are stored under (tied ones
once) and results. The module is copied; nothing is trained or changed.
"""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export.graph_signature import InputKind
from torch.fx import Node
from torch.utils._pytree import tree_map

from qecompile.errors import fail
from qecompile.model.running import running


@dataclass(frozen=True)
class Captured:
    """A traced module.

    Attributes:
        module: the copy that was traced, in float64 and eval mode.
        nodes: operators and placeholders, in order.
        stored: the name of the parameter or buffer of a placeholder.
        tensors: the tensors that the weights are, by name; those that are tied once.
        inputs: placeholders of the module's inputs.
        aliases: names of tied tensors, and the first name of each.
    """

    module: nn.Module
    nodes: tuple[Node, ...]
    stored: Mapping[str, str]
    tensors: Mapping[str, Tensor]
    inputs: frozenset[str]
    aliases: Mapping[str, str]


def capture(module: nn.Module, inputs: Sequence[object], kwargs: Mapping[str, object]) -> Captured:
    """Trace a module.

    Raises:
        SymError: it cannot be traced, with what torch says.
    """
    traced = copy.deepcopy(module).double().eval().requires_grad_(False)
    given, named = tree_map(_double, tuple(inputs)), tree_map(_double, dict(kwargs))
    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    try:
        log.setLevel(logging.CRITICAL)  # it tells at length what is told below
        with running(), warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.export.export(traced, given, named, strict=False)
    except Exception as mistake:
        first = str(mistake).strip().split("\n")[0][:300] or "no message"
        help = (
            "torch.export must be able to trace it with these inputs: no decisions by the numbers in a tensor"
        )
        fail("QE310", f"the module cannot be traced: {type(mistake).__name__}: {first}", help=help)
    finally:
        log.setLevel(level)
    named_tensors = [
        *traced.named_parameters(remove_duplicate=False),
        *((n, t) for n, t in traced.named_buffers(remove_duplicate=False) if _is_statistic(n)),
    ]
    first_names: dict[int, str] = {}
    aliases = {name: first_names.setdefault(id(t), name) for name, t in named_tensors}
    by_name = dict(named_tensors)
    stored, given_names = dict[str, str](), set[str]()
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT:
            given_names.add(spec.arg.name)
        elif spec.target in aliases:
            stored[spec.arg.name] = aliases[spec.target]
    tensors = {n: t for n, t in by_name.items() if aliases[n] == n and t.is_floating_point()}
    nodes = tuple(program.graph_module.graph.nodes)
    return Captured(traced, nodes, stored, tensors, frozenset(given_names), aliases)


def _is_statistic(name: str) -> bool:
    """Running means and variances are learnt as weights are; other buffers are constants."""
    return name.rpartition(".")[2] in ("running_mean", "running_var")


def _double(x: object) -> object:
    return x.detach().double() if isinstance(x, Tensor) and x.is_floating_point() else x
