"""What a command says: the data for scripts and the tables for people.

Each report is a value with `to_json` (the keys that the language reference promises) and `blocks` (text
and tables, in order, to be laid out by `tables.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from qecompile.basis import Basis
from qecompile.checkpoint_report import match_blocks, match_json
from qecompile.checkpoints.matching import Match
from qecompile.checks import Result
from qecompile.orbit import continuous_dim, factors
from qecompile.plan_report import PlanReport
from qecompile.spec import Axis, Param, Space, Spec
from qecompile.tables import Block, Table

PASSED, FAILED, NOT_CHECKED = "ok", "FAIL", "not checked"
STYLES = ((PASSED, "green"), (FAILED, "bold red"), (NOT_CHECKED, "yellow"))


class Report(Protocol):
    """What every command gives back."""

    @property
    def ok(self) -> bool:
        """Whether the command found everything as it should be."""

    def to_json(self) -> dict[str, object]:
        """The report as plain data."""

    def blocks(self) -> Iterable[Block]:
        """The report as text and tables."""


@dataclass(frozen=True)
class CheckReport:
    """What `check` found: the parameters, the group, each `expect`, and how a checkpoint fits the spec."""

    spec: Spec
    results: tuple[Result, ...]
    checkpoint: Match | None = None

    @property
    def ok(self) -> bool:
        """Whether no `expect` failed, and the checkpoint fits; what was not decided did not fail."""
        fits = self.checkpoint is None or self.checkpoint.ok
        return fits and all(result.ok is not False for result in self.results)

    def to_json(self) -> dict[str, object]:
        """The parameters, the group and the expectations as plain data."""
        return {
            "spec": self.spec.name,
            "params": {
                p.name: {"shape": list(p.shape), "axes": list(axis_texts(p, self.spec))}
                for p in self.spec.parameters
            },
            "group": {
                "continuous_dim": continuous_dim(self.spec),
                "factors": [
                    {"space": f.space, "group": f.group, "copies": f.copies, "dim": f.dim}
                    for f in factors(self.spec)
                ],
            },
            "expect": [_expect_json(r) for r in self.results],
            **({} if self.checkpoint is None else {"checkpoint": match_json(self.checkpoint)}),
            "ok": self.ok,
        }

    def blocks(self) -> Iterable[Block]:
        """The parameters, the group, the expectations with a count, and the checkpoint."""
        yield heading(self.spec)
        yield Table(
            "parameters",
            ("name", "shape", "axes"),
            tuple(
                (p.name, shape_text(p.shape), " ".join(axis_texts(p, self.spec)) or "[]")
                for p in self.spec.parameters
            ),
        )
        yield Table(
            f"group: continuous dimension {continuous_dim(self.spec)}",
            ("space", "group", "copies", "dim"),
            tuple((f.space, f.group, str(f.copies), str(f.dim)) for f in factors(self.spec)),
        )
        if self.results:
            yield Table(
                "expectations",
                ("", "line", "expect", "expected", "actual"),
                tuple(_expect_row(r) for r in self.results),
                STYLES,
            )
        for result in self.results:
            if result.detail and not result.ok:
                yield f"{result.expect.text}: {result.detail}"
        yield self._count
        if self.checkpoint is not None:
            yield from match_blocks(self.checkpoint)

    @cached_property
    def _count(self) -> str:
        if not self.results:
            return "no expectations"
        passed = sum(r.ok is True for r in self.results)
        failed = sum(r.ok is False for r in self.results)
        waiting = len(self.results) - passed - failed
        text = f"{passed} passed, {failed} failed"
        return f"{text}, {waiting} not decided" if waiting else text


@dataclass(frozen=True)
class DeriveReport:
    """The basis of a spec: the dimension of each space of equivariant maps, and of the invariants."""

    spec: Spec
    basis: Basis

    @property
    def ok(self) -> bool:
        """A basis that could be derived is in order."""
        return True

    @cached_property
    def _pairs(self) -> tuple[tuple[str, str, int, int], ...]:
        return tuple(self.basis.pairs())

    @cached_property
    def _invariants(self) -> Mapping[str, int]:
        return {p.name: self.basis.invariants(p.name) for p in self.spec.parameters}

    def to_json(self) -> dict[str, object]:
        """The dimensions as plain data; pairs of dimension 0 are left out."""
        return {
            "spec": self.spec.name,
            "hom": [
                {"source": source, "target": target, "dim": dim, "diagrams": diagrams}
                for source, target, dim, diagrams in self._pairs
            ],
            "invariants": dict(self._invariants),
        }

    def blocks(self) -> Iterable[Block]:
        """The pairs, the invariants and the total."""
        yield heading(self.spec)
        yield Table(
            "equivariant linear maps (pairs of dimension 0 are left out)",
            ("source", "target", "dim", "diagrams"),
            tuple((source, target, str(dim), str(count)) for source, target, dim, count in self._pairs),
        )
        yield Table(
            "invariants",
            ("parameter", "dim"),
            tuple((name, str(dim)) for name, dim in self._invariants.items()),
        )
        linear, affine = sum(pair[2] for pair in self._pairs), sum(self._invariants.values())
        yield f"{linear} linear and {affine} affine weights per pair of channels"


@dataclass(frozen=True)
class BuildReport:
    """What `build` writes: the file, its classes and kernels, and the weights of the network's parts."""

    spec: Spec
    output: str
    classes: tuple[str, ...]
    parameters: Mapping[str, int]
    kernels: tuple[str, ...] = ()
    plan: PlanReport | None = None

    @property
    def ok(self) -> bool:
        """A file that could be written is in order."""
        return True

    def to_json(self) -> dict[str, object]:
        """The same as plain data."""
        return {
            "output": self.output,
            "classes": list(self.classes),
            "kernels": list(self.kernels),
            "parameters": self.parameters["MetaNet"],
            "parts": {name: count for name, count in self.parameters.items() if name != "MetaNet"},
            **({} if (share := alpha_share(self.parameters)) is None else {"alpha_share": share}),
            **({"plan": self.plan.to_json()} if self.plan else {}),
        }

    def blocks(self) -> Iterable[Block]:
        """The classes, the weights of each part, and where the file goes."""
        yield heading(self.spec)
        yield Table(
            f"weights of the network (classes: {', '.join(self.classes)})",
            ("part", "weights"),
            tuple((name, str(count)) for name, count in self.parameters.items()),
        )
        if (share := alpha_share(self.parameters)) is not None:
            yield f"the alpha-maps have {share:.1%} of the weights of the layers that they follow"
        yield from self.plan.blocks() if self.plan else ()
        if self.kernels:
            yield f"{len(self.kernels)} Triton kernels for large tensors on a GPU"
        yield f"writing {self.output}"


def alpha_share(parts: Mapping[str, int]) -> float | None:
    """The weights of all alpha-maps, as a share of those of the layers that they follow; None without any.

    >>> alpha_share({"linear1": 900, "alpha1": 10, "linear2": 1100, "alpha2": 10, "readout": 500})
    0.01
    """
    alpha = sum(count for part, count in parts.items() if part.startswith("alpha"))
    layers = sum(count for part, count in parts.items() if part.startswith(("linear", "activation")))
    return alpha / layers if alpha else None


def class_names(source: str) -> tuple[str, ...]:
    """The public classes that a Python source text defines.

    Example:
        >>> class_names("class Layer: pass")
        ('Layer',)
    """
    found = (node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    return tuple(name for name in found if not name.startswith("_"))


def kernel_names(source: str) -> tuple[str, ...]:
    """The Triton kernels that a Python source text defines: functions with sizes that Triton compiles in.

    Example:
        >>> kernel_names("def _add(x, N: tl.constexpr): pass")
        ('_add',)
    """
    found = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    return tuple(f.name for f in found if "tl.constexpr" in ast.unparse(f.args))


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape for people.

    Example:
        >>> shape_text((64, 784)), shape_text(())
        ('64 x 784', 'scalar')
    """
    return " x ".join(map(str, shape)) or "scalar"


def axis_texts(param: Param, spec: Spec) -> tuple[str, ...]:
    """Each axis of `param` as a spec would write it."""
    return tuple(axis_text(axis, spec.space[axis.space]) for axis in param.axes)


def axis_text(axis: Axis, space: Space) -> str:
    """One axis as a spec would write it; a dual that changes nothing is not shown.

    Example:
        >>> from qecompile.spec import Character
        >>> characters = (Character(name="pre", word="scale"), Character(name="post", word="scale"))
        >>> space = Space(name="c", size=4, permuted=True, characters=characters)
        >>> [axis_text(Axis(space="c", charges=charges), space) for charges in [(1, 1), (-1, -1), (0, 2)]]
        ['c', 'c*', 'c^{pre: 0, post: 2}']
    """
    match sorted(set(axis.charges)):
        case []:
            return f"{space.name}*" if axis.dual and space.vector == "linear" else space.name
        case [1]:
            return space.name
        case [-1]:
            return f"{space.name}*"
        case [charge]:
            return f"{space.name}^{charge}"
        case _:
            pairs = zip(space.characters, axis.charges, strict=True)
            return f"{space.name}^{{{', '.join(f'{c.name}: {charge}' for c, charge in pairs)}}}"


def _expect_json(result: Result) -> dict[str, object]:
    detail = {} if result.detail is None else {"detail": result.detail}
    return {"text": result.expect.text, "ok": result.ok, "actual": result.actual, **detail}


def _expect_row(result: Result) -> tuple[str, ...]:
    expect = result.expect
    verdict = {True: PASSED, False: FAILED, None: NOT_CHECKED}[result.ok]
    expected = "" if expect.value is None else f"{expect.relation} {expect.value}"
    actual = "" if result.actual is None else str(result.actual)
    return verdict, str(expect.line), expect.text, expected, actual


def heading(spec: Spec) -> str:
    """The first line of a report: the spec and the values of its parameters."""
    arguments = ", ".join(f"{name}={_value_text(value)}" for name, value in spec.arguments)
    return f"spec {spec.name}({arguments}) from {spec.path}"


def _value_text(value: int | tuple[int, ...] | str) -> str:
    match value:
        case int():
            return str(value)
        case str():
            return f'"{value}"'
        case _:
            return f"[{', '.join(map(str, value))}]"
