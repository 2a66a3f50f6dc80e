"""Obligation (d), the file: an emitted file computes what the compiler's own output for its spec computes.

Takes two modules of emitted shape, gives the largest difference between them or says where they differ. Equal
texts need no running (`imported.same_syntax`). Else every public class is made with the same weights on
both sides, and fed with inputs that reach the corners: normal ones, zeros, huge and tiny numbers, equal
entries, single entries. Outputs, gradients and the initial weights from one seed must agree to rounding.
Agreement is sampled, not proved; a typed derivation and exact probes stand beside it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from qecompile.spec import Spec
from qecompile.verify.imported import public_classes

TOLERANCE = 1e-9
DEAD = 1e-6  # of the largest gradient: what is smaller is measured by that
SINGLE_TOLERANCE = 1e-2  # float32: what depends on the precision shows, rounding does not
LARGE_BATCH = 12
MOST_NUMBERS = 20_000_000  # of the inputs of one batch entry, with channels
FEW_NUMBERS = 400_000  # so few that every corner has a batch entry of its own
SIZES = {"in_channels": 2, "out_channels": 3, "channels": 2, "features": 3, "outputs": 3}
ASIDE = {"reset_parameters", "extra_repr", "forward"}


class DifferenceError(Exception):
    """The two modules do not compute the same."""


@dataclass(frozen=True, slots=True)
class Compared:
    """How much was compared, and the largest relative difference."""

    classes: int
    outputs: int
    error: float


class Comparison:
    """A reference module with its outputs, which any number of modules can be compared with."""

    def __init__(self, spec: Spec, reference: ModuleType, channels: int = 1) -> None:
        self.spec, self.channels = spec, channels
        self.classes = public_classes(reference)
        self._reference = reference
        self._expected: dict[tuple[str, int], _Run] = {}

    @property
    def affordable(self) -> bool:
        """Whether the inputs of every class are few enough to run at these sizes."""
        return self._numbers <= MOST_NUMBERS

    @property
    def _square(self) -> bool:
        """Whether invariants have as many features as channels, because channels must not meet."""
        return any(net.alpha is not None and net.alpha.family == "independent" for net in self.spec.metanets)

    @property
    def _numbers(self) -> int:
        widest = max([16, *(c for net in self.spec.metanets for c in net.channels)])
        return widest * sum(prod(p.shape) for p in self.spec.parameters)

    def compare(self, module: ModuleType) -> Compared:
        """Compare a module with the reference.

        Raises:
            DifferenceError: they differ in more than rounding; the message says where and by how much.
        """
        if vars(module).get("SHAPES") != vars(self._reference).get("SHAPES"):
            raise DifferenceError("SHAPES differs")
        theirs = public_classes(module)
        tally = _Tally()
        for name, cls in self.classes.items():
            if name not in theirs:
                raise DifferenceError(f"the class {name} is missing")
            for variant in range(2 if _required(cls) and self._numbers <= FEW_NUMBERS else 1):
                if (name, variant) not in self._expected:
                    self._expected[name, variant] = self._run(name, cls, variant)
                expected = self._expected[name, variant]
                found = self._run(name, theirs[name], variant, expected.weights)
                tally.compare(name, expected, found)
        return Compared(len(self.classes), tally.outputs, tally.error)

    def _run(self, name: str, cls: type, variant: int, weights: Mapping[str, Tensor] | None = None) -> _Run:
        try:
            return self._measure(cls, variant, weights)
        except Exception as failure:
            raise DifferenceError(f"{name} cannot be run: {type(failure).__name__}: {failure}") from failure

    def _measure(self, cls: type, variant: int, weights: Mapping[str, Tensor] | None) -> _Run:
        arguments = _arguments(cls, variant)
        if arguments.keys() >= {"channels", "features"} and self._square:
            arguments["features"] = arguments["channels"]
        torch.manual_seed(variant)
        net: nn.Module = cls(**arguments, dtype=torch.float64)
        initial = {k: v.clone() for k, v in net.state_dict().items()}
        names = set_weights(net, weights)
        channels = None
        if arguments:
            channels = arguments.get("in_channels", arguments.get("channels"))
        elif self.channels != 1:
            channels = self.channels
        outputs: dict[str, Any] = {}
        x = inputs(self.spec, channels, apart=self._numbers <= FEW_NUMBERS)
        with torch.no_grad():
            for mode, method in product(("training", "evaluation"), _methods(cls)):
                outputs[f"{method} in {mode}"] = getattr(net.train(mode == "training"), method)(x)
        net.train(variant == 0)
        now = {names[k]: v.clone() for k, v in net.state_dict().items()}
        gradients = _gradients(net, x, names)
        batch = LARGE_BATCH if self._numbers <= FEW_NUMBERS else 1
        with torch.no_grad():  # last: the network stays in single precision
            single = net.to(torch.float32)(
                {k: v[:1].float().expand(batch, *v.shape[1:]) for k, v in x.items()}
            )
        return _Run(now, {names[k]: v for k, v in initial.items()}, outputs, gradients, single)


@dataclass(frozen=True)
class _Run:
    """One network: its weights, those it began with, what it gives and the gradients of that.

    `single` is what it gives in float32, for a batch of another size.
    """

    weights: Mapping[str, Tensor]
    initial: Mapping[str, Tensor]
    outputs: Mapping[str, Any]
    gradients: Mapping[str, Tensor]
    single: object


def inputs(spec: Spec, channels: int | None, *, apart: bool) -> dict[str, Tensor]:
    """Float64 inputs: a normal batch entry, then corners.

    With `apart`, every corner has a batch entry of its own; else two entries mix them by parameter.
    """
    generator = torch.Generator().manual_seed(7)
    found = {}
    for k, p in enumerate(spec.parameters):
        tail = p.shape if channels is None else (*p.shape, channels)
        changes = CORNERS if apart else (CORNERS[k % len(CORNERS)], CORNERS[(k + 1) % len(CORNERS)])
        x = torch.randn(1 + len(changes), *tail, generator=generator, dtype=torch.float64)
        for entry, change in enumerate(changes, start=1):
            x[entry] = change(x[entry], k)
        found[p.name] = x
    return found


def _sparse_and_equal(x: Tensor, place: int) -> Tensor:
    """Every other parameter has equal entries, the rest a single one."""
    flat = torch.full_like(x, 0.7).reshape(-1) if place % 2 else torch.zeros_like(x).reshape(-1)
    flat[:1] = -1.3
    return flat.view(x.shape)


CORNERS: tuple[Callable[[Tensor, int], Tensor], ...] = (
    lambda x, _: torch.zeros_like(x),
    lambda x, _: x * 1e60,
    lambda x, _: x * 1e-60,
    _sparse_and_equal,
)


def set_weights(net: nn.Module, weights: Mapping[str, Tensor] | None) -> dict[str, str]:
    """Give a network the weights and buffers listed, or random ones; the name listed for each of its own.

    They are matched by name; in order, if the names differ.

    Raises:
        DifferenceError: the network has others.
    """
    state = net.state_dict()
    if weights is None:
        generator = torch.Generator().manual_seed(11)
        parameters = dict(net.named_parameters())
        weights = {k: _random(k, v, generator, parameters) for k, v in state.items()}
    names = (
        {k: k for k in state} if state.keys() == weights.keys() else dict(zip(state, weights, strict=False))
    )
    if frozen := [k for k, p in net.named_parameters() if not p.requires_grad]:
        raise DifferenceError(f"its weight {frozen[0]} is not trained")
    own = {names.get(k, k): list(v.shape) for k, v in state.items()}
    wanted = {k: list(v.shape) for k, v in weights.items()}
    for k in {**wanted, **own}:
        if own.get(k) != wanted.get(k):
            raise DifferenceError(f"its weights differ: {k} has shape {own.get(k)} and not {wanted.get(k)}")
    net.load_state_dict({k: weights[names[k]] for k in state})
    return names


def _random(name: str, value: Tensor, generator: torch.Generator, parameters: Mapping[str, Any]) -> Tensor:
    """Normal weights that keep variances; buffers stay as they are."""
    if name not in parameters or not value.is_floating_point():
        return value.clone()
    drawn = torch.randn(value.shape, generator=generator, dtype=value.dtype)
    return drawn.div(max(value.shape[0] if value.dim() > 1 else 1, 1) ** 0.5)


def _gradients(net: nn.Module, x: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """The gradient of a weighted sum of the outputs on the normal batch entry, by weight and input."""
    leaves = {name: v[:1].clone().requires_grad_() for name, v in x.items()}
    generator = torch.Generator().manual_seed(13)
    value = torch.zeros((), dtype=torch.float64)
    for _, out in tensors(net(leaves)):
        value = value + (out * torch.randn(out.shape, generator=generator, dtype=out.dtype)).sum()
    places: dict[str, Tensor] = {
        f"weight {names[name]}": p for name, p in net.named_parameters() if p.requires_grad
    }
    places |= {f"input {name}": v for name, v in leaves.items()}
    found = torch.autograd.grad(value, list(places.values()), allow_unused=True)
    return {
        name: torch.zeros_like(at) if g is None else g
        for (name, at), g in zip(places.items(), found, strict=True)
    }


class _Tally:
    """Compares runs, counts what was compared, keeps the largest difference."""

    def __init__(self) -> None:
        self.outputs, self.error = 0, 0.0

    def compare(self, name: str, expected: _Run, found: _Run) -> None:
        """Compare two runs of a class.

        Raises:
            DifferenceError: they differ.
        """
        for method in expected.outputs:
            self._nested(f"{name}.{method}", expected.outputs[method], found.outputs[method])
        # What is dead has a gradient of rounding errors: that is compared with the gradients beside it.
        largest = max(
            (float(g.abs().nan_to_num().max()) for g in expected.gradients.values() if g.numel()), default=0
        )
        where = f"the gradient of {name} with respect to"
        self._nested(where, expected.gradients, found.gradients, least=DEAD * largest)
        self._nested(f"{name}.forward in float32", expected.single, found.single, SINGLE_TOLERANCE)
        for key, value in expected.initial.items():
            self._tensor(f"the initial value of {name}.{key}", value[None], found.initial[key][None])

    def _nested(
        self,
        where: str,
        expected: object,
        found: object,
        tolerance: float = TOLERANCE,
        least: float = 0.0,
    ) -> None:
        left, right = dict(tensors(expected)), dict(tensors(found))
        if left.keys() != right.keys():
            raise DifferenceError(f"{where} gives {sorted(right)}, not {sorted(left)}")
        for label, value in left.items():
            self._tensor(f"{where} {label}".strip(), value, right[label], tolerance, least)

    def _tensor(
        self,
        where: str,
        expected: Tensor,
        found: Tensor,
        tolerance: float = TOLERANCE,
        least: float = 0.0,
    ) -> None:
        if expected.shape != found.shape or expected.dtype != found.dtype:
            shown = [f"{t.dtype} {list(t.shape)}" for t in (found, expected)]
            raise DifferenceError(f"{where} is {shown[0]}, not {shown[1]}")
        error = difference(expected, found, least)
        self.outputs += 1
        if tolerance == TOLERANCE:
            self.error = max(self.error, error)
        if not error <= tolerance:
            raise DifferenceError(f"{where} differs by {error:.2g} of its size")


def difference(expected: Tensor, found: Tensor, least: float = 0.0) -> float:
    """The largest difference in a batch entry, relative to its largest number; infinities must agree.

    An entry whose numbers are all below `least` is compared with that.
    """
    if expected.numel() == 0:
        return 0.0
    a, b = (t.detach().to(torch.float64).reshape(t.shape[0] if t.dim() else 1, -1) for t in (expected, found))
    finite = torch.isfinite(a)
    if not torch.equal(finite, torch.isfinite(b)) or not torch.equal(
        a[~finite].nan_to_num(2.0), b[~finite].nan_to_num(2.0)
    ):
        return float("inf")
    a, b = torch.where(finite, a, 0.0), torch.where(finite, b, 0.0)
    size = a.abs().amax(1).clamp(min=max(least, 1e-300))
    return float(((a - b).abs().amax(1) / size).max())


def tensors(value: object, label: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor and number in nested dicts, tuples and lists, with the keys that lead to it."""
    if isinstance(value, Tensor):
        yield label, value
    elif isinstance(value, (int, float)):
        yield label, torch.tensor([value], dtype=torch.float64)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from tensors(part, f"{label}[{key}]")
    elif isinstance(value, (tuple, list)):
        for k, part in enumerate(value):
            yield from tensors(part, f"{label}[{k}]")


def _required(cls: type) -> list[str]:
    """The arguments that a class cannot be made without."""
    found = inspect.signature(cls).parameters.values()
    return [p.name for p in found if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]


def _arguments(cls: type, variant: int) -> dict[str, Any]:
    """Numbers for what is required; in the second variant ones, and the other choice of every switch."""
    given: dict[str, Any] = {name: SIZES.get(name, 2) if variant == 0 else 1 for name in _required(cls)}
    if variant:
        for p in inspect.signature(cls).parameters.values():
            if isinstance(p.default, bool):
                given[p.name] = not p.default
    return given


def _methods(cls: type) -> list[str]:
    """`forward`, and the other public methods that take one input."""
    found = ["forward"]
    for name, value in vars(cls).items():
        function = inspect.unwrap(value) if callable(value) else None
        if inspect.isfunction(function) and not name.startswith("_") and name not in ASIDE:
            needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
            if len(needed) == 2:
                found.append(name)
    return found
