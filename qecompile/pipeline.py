"""The compiler, stage by stage: read this file first.

    text --load, parse--> Spec --derive--> Basis --generate--> Python source --build--> module
                                             +---check--> one result per `expect`
    Spec, Basis, Python source, modules --prove--> Proof
    Spec, the user's own network --audit--> Audit

Each function below is one stage and leaves the work to the module that owns it. No stage before `build`
needs torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from qecompile import basis, checks, judgement, resolve
from qecompile.arguments import Argument
from qecompile.basis import Basis
from qecompile.checks import Result
from qecompile.codegen.emit import design, emit_source, parameter_counts
from qecompile.codegen.kernels.stack import pointwise
from qecompile.codegen.kernels.write import functions_between
from qecompile.codegen.reduce import labels
from qecompile.codegen.writer import Variables
from qecompile.errors import Collector, Diagnostic, SymError, fail
from qecompile.judgement import Judged
from qecompile.loading import import_source, write_source
from qecompile.schedule.defer import defer_broadcasts
from qecompile.schedule.nodes import Schedule
from qecompile.schedule.passes import schedule_layer
from qecompile.spec import Spec

if TYPE_CHECKING:
    from qecompile.model.audit import Audit
    from qecompile.verify.prove import Proof

MOST_WEIGHTS = 10**12
"""Weights of a network: four terabytes."""


def load(path: str | os.PathLike[str], /, name: str | None = None, **arguments: Argument) -> Spec:
    """Read one spec from a `.sym` file.

    Args:
        path: the file.
        name: the spec to take, instead of the last in the file.
        **arguments: values for the spec's own parameters, as in `widths=[784, 64, 10]`.

    Raises:
        SymError: the file cannot be read, or what it says is wrong.
    """
    return resolve.load(path, name, arguments)


def parse(text: str, /, name: str | None = None, **arguments: Argument) -> Spec:
    """Read one spec from a string.

    Example:
        >>> spec = parse("spec tiny(n: int = 3) { space h = n : permute  param b : h }", n=5)
        >>> spec.params["b"].shape
        (5,)
    """
    return resolve.parse(text, name, arguments=arguments)


def derive(spec: Spec) -> Basis:
    """The complete basis of equivariant linear maps between the parameters of `spec`.

    Example:
        >>> spec = parse("spec tiny { space h = 4 : permute  param W : [h, h]  param b : h }")
        >>> derive(spec).dim("W", "W"), derive(spec).dim("W", "b")
        (15, 5)
    """
    return basis.derive(spec)


def judge_alpha(spec: Spec, metanet: str | None = None) -> Judged:
    """The alpha-maps that the group of `spec` allows, and whether that of a network can matter.

    Example:
        >>> spec = parse("spec tiny { space h = 4 : scale  param W : [h, h*]  metanet m { alpha shared() } }")
        >>> [(f.component, f.map) for f in judge_alpha(spec).factors], judge_alpha(spec).verdict.live
        ([('R>0^4', '1 + eps*sin(gamma), 0 < eps < 1')], False)
    """
    with placed_at_network(spec, metanet):
        return judgement.judge_network(spec, metanet)


def warn_of_dead_alpha(spec: Spec, metanet: str | None = None) -> tuple[Diagnostic, ...]:
    """A warning if the alpha-map that a network declares can change nothing that it computes."""
    with placed_at_network(spec, metanet):
        return judgement.warn_of_dead_alpha(spec, metanet)


def check(spec: Spec) -> tuple[Result, ...]:
    """Test every `expect` of `spec`, in order; see that its networks can be built.

    Example:
        >>> spec = parse("spec tiny { space h = 4 : permute  param b : h  expect dim(b -> b) == 3 }")
        >>> [(result.ok, result.actual) for result in check(spec)]
        [(False, 2)]

    Raises:
        SymError: `generate` refuses the network of a `metanet` block, or a limit of an exact search is met.
    """
    results = checks.check_expects(spec, derive(spec))
    found = Collector()
    for net in spec.metanets:
        with found.attempt():
            count_parameters(spec, net.name)
    found.finish()
    return results


def count_parameters(spec: Spec, metanet: str | None = None) -> dict[str, int]:
    """The weights of the network that `generate` writes and of each of its parts, without writing it.

    Raises:
        SymError: see `generate`; or there are more than `MOST_WEIGHTS`.
    """
    with placed_at_network(spec, metanet):
        counts = parameter_counts(spec, metanet)
        if counts["MetaNet"] > MOST_WEIGHTS:
            part = max((name for name in counts if name != "MetaNet"), key=lambda name: counts[name])
            message = f"the network would have {counts['MetaNet']:,} weights, most of them in `{part}`"
            help = f"at most {MOST_WEIGHTS:,} are built; choose fewer channels, or `mix` by codes"
            fail("QE904", message, help=help)
        return counts


@contextmanager
def placed_at_network(spec: Spec, metanet: str | None) -> Iterator[None]:
    """Put what is wrong with a network where the network is declared, if it is declared at all."""
    try:
        yield
    except SymError as refused:
        places = dict(spec.metanet_places)
        name = metanet if metanet is not None or len(places) != 1 else next(iter(places))
        place = places.get(name) if name is not None else None
        raise SymError([d if d.span else replace(d, span=place) for d in refused.diagnostics]) from refused


def plan_layer(spec: Spec, metanet: str | None = None, *, kernels: bool = False) -> Schedule:
    """The operations of the layer that `generate` writes, in order; with `kernels`, of a stack on a GPU.

    Raises:
        SymError: see `generate`.
    """
    made = design(spec, metanet)
    schedule = schedule_layer(made.plan, spec, labels(made.plan, Variables(spec)))
    if not kernels:
        return schedule
    between = functions_between(made.net, made.activations, alpha=made.alpha is not None)
    return defer_broadcasts(schedule, pointwise(between))


def generate(spec: Spec, metanet: str | None = None, *, kernels: bool = True) -> str:
    """The layers and networks of `spec` as the text of one Python file, which imports torch only.

    A spec with several `metanet` blocks needs the name of one. The file ends with Triton kernels for large
    tensors on a GPU, unless `kernels` is false; it imports Triton when it launches the first.

    Raises:
        SymError: the spec asks for a network that its group forbids.
    """
    with placed_at_network(spec, metanet):
        return emit_source(spec, metanet, kernels=kernels)


def emit(
    spec: Spec, path: str | os.PathLike[str], metanet: str | None = None, *, kernels: bool = True
) -> None:
    """Write the generated source of `spec` to a file.

    Raises:
        OSError: the file cannot be written.
        SymError: see `generate`.
    """
    write_source(generate(spec, metanet, kernels=kernels), path)


def build(spec: Spec, metanet: str | None = None, *, kernels: bool = True) -> ModuleType:
    """The generated source of `spec`, imported; equal sources give the same module.

    The source lies in a file, so tracebacks and `inspect.getsource` show it. Objects of its classes can be
    pickled; another process reads them after it has built the same spec.

    Raises:
        SymError: see `generate`.
    """
    return import_source(generate(spec, metanet, kernels=kernels), name=spec.name)


def audit(spec: Spec, checkpoint: str | os.PathLike[str] | None = None, *, seed: int = 0) -> Audit:
    """Compare the declared group with the symmetry of the network that the spec names; runs that network.

    Args:
        spec: a spec with a `model` statement.
        checkpoint: weights to start from, instead of those that the network is made with.
        seed: of all random numbers.

    Raises:
        SymError: the network cannot be run, or the checkpoint does not fit the spec.
    """
    from qecompile.checkpoints.reading import read_checkpoint  # with torch, as what follows
    from qecompile.model.audit import audit_spec

    weights = None if checkpoint is None else read_checkpoint(spec, checkpoint, spec.params)
    return audit_spec(spec, weights, seed)


def prove(
    spec: Spec, module: Callable[..., object] | None = None, *, metanet: str | None = None, **options: Any
) -> Proof:
    """Prove a spec and what is emitted for it; or a module, equivariant or invariant as it claims.

    A module that comes from an emitted file is proved as that file is. Any other is proved by types alone;
    `options` are those of `qecompile.testing.prove_equivariant`.

    Args:
        spec: whose group acts.
        module: an `nn.Module` or a function.
        metanet: which `metanet` block is meant, if there are several.
        **options: for a module of the user's own.

    Example:
        >>> spec = parse("spec tiny { space h = 4 : permute  param b : h }")
        >>> proof = prove(spec, lambda theta: {"b": theta["b"] - theta["b"].mean(1, keepdim=True)})
        >>> proof.ok, [o.name for o in proof.obligations]
        (True, ['types'])

    Raises:
        SymError: see `generate`.
    """
    from qecompile import proving  # with torch, which the stages before do without

    with placed_at_network(spec, metanet):
        return proving.prove(spec, module, metanet, **options)
