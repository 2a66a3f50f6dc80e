"""The derivation of an emitted network layer by layer: which cocycle each feature has, and who changes it.

Takes a spec and a network, gives a `Derivation`. `torch.fx` traces the network with its layers as leaves, and
what flows between them is *features*: dicts of one tensor per parameter, which all share a cocycle. With
beta equivariant and a(g, theta) a cocycle (theory.md, section 3):

    inputs have the strict cocycle, a(g, theta) = g;
    an equivariant map keeps the cocycle of its argument, and an argument has one cocycle only;
    alpha makes a new one, a'(g, theta) = alpha(a(g, theta) . x) a(g, theta) alpha(x)^-1, for all channels or
    one for every channel;
    an invariant readout erases it.

Each distinct leaf is proved by types (`equivariance.py`); what a leaf does not claim is not used. Where every
channel has a cocycle of its own, whether a leaf lets channels meet decides, and that is seen in its
operations, not in its type: the network is then proved operation by operation, as a whole.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, fx, nn

from qecompile.spec import Spec
from qecompile.verify.equivariance import Verdict, check_module

STRICT = "strict"
PASSES = frozenset({"_check"})  # functions of an emitted file that give back what they are given


@dataclass(frozen=True, slots=True)
class Features:
    """A dict of tensors, one per parameter; `channels` is None where there is no axis of channels."""

    cocycle: str
    channels: int | None
    by_channel: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One tensor of features."""

    name: str
    features: Features


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of a derivation: what was applied, what it was proved to be, and the cocycle behind it."""

    name: str
    kind: str
    claim: str
    cocycle: str

    def __str__(self) -> str:
        behind = f"cocycle {self.cocycle}" if self.cocycle else "no cocycle is left"
        return f"{self.name} ({self.kind}) is {self.claim}; {behind}"


@dataclass(frozen=True)
class Derivation:
    """What was derived.

    Attributes:
        ok: whether the network is proved to be what `claim` says.
        claim: `equivariant`, `quasi-equivariant`, `invariant` or `refused`.
        layers: the derivation, line by line.
        verdicts: the proof of each distinct leaf, by its first name; of the whole network under `network`.
        reason: why it was refused, if it was.
    """

    ok: bool
    claim: str
    layers: tuple[Layer, ...]
    verdicts: Mapping[str, Verdict]
    reason: str = ""

    def __str__(self) -> str:
        return "\n".join([*map(str, self.layers), f"{self.claim}{': ' if self.reason else ''}{self.reason}"])


class CannotDeriveError(Exception):
    """The derivation cannot go on; the text says why."""


class LayerTracer(fx.Tracer):
    """A tracer to which every module of the network's own file, and every public function, is a leaf."""

    def __init__(self, network: nn.Module) -> None:
        self.home = type(network).__module__
        known = vars(sys.modules[self.home]) if self.home in sys.modules else {}
        super().__init__(autowrap_functions=tuple(f for f in known.values() if self.is_layer_function(f)))

    def is_layer_function(self, value: object) -> bool:
        """Whether it is a public function of the file."""
        return isinstance(value, FunctionType) and value.__module__ == self.home and value.__name__[0] != "_"

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Modules of the file, and those of torch."""
        return type(m).__module__ == self.home or super().is_leaf_module(m, module_qualified_name)


class Mixed(nn.Module):
    """A leaf, and then a mixture of channels: it has a law only if the leaf has one cocycle for them all."""

    def __init__(self, leaf: Callable[..., Any], channels: int) -> None:
        super().__init__()
        self.leaf = leaf
        like = next(leaf.parameters(), None) if isinstance(leaf, nn.Module) else None
        mixture = torch.empty(channels, channels)
        self.mixture = nn.Parameter(mixture if like is None else mixture.to(like))

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        """Features with the same channels."""
        return {name: t @ self.mixture for name, t in self.leaf(x).items()}


def derive_network(spec: Spec, network: nn.Module) -> Derivation:
    """Derive what a network of weights [B, *shape], by name of parameter, is.

    Example:
        >>> import qecompile as qe
        >>> text = "spec s { space h = 4 : permute  param b : h  metanet m { readout invariant -> 2 } }"
        >>> spec = qe.parse(text)
        >>> print(derive_network(spec, qe.build(spec).MetaNet()))
        linear1 (EquivariantLinear) is equivariant; cocycle strict
        activate (activate) is equivariant; cocycle strict
        linear2 (EquivariantLinear) is equivariant; cocycle strict
        activate_1 (activate) is equivariant; cocycle strict
        readout (InvariantReadout) is invariant; no cocycle is left
        invariant
    """
    return _Deriver(spec, network).run()


@dataclass
class _Deriver:
    spec: Spec
    network: nn.Module
    layers: list[Layer] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    proved: dict[object, Verdict] = field(default_factory=dict)

    def run(self) -> Derivation:
        """The derivation, by layers if they decide, else by operations."""
        try:
            claim, by_channel = self.by_layers()
        except CannotDeriveError as mistake:
            return self.result("refused", str(mistake))
        return self.by_operations() if by_channel else self.result(claim)

    def result(self, claim: str, reason: str = "") -> Derivation:
        return Derivation(claim != "refused", claim, tuple(self.layers), self.verdicts, reason)

    def by_operations(self) -> Derivation:
        """The network as one module."""
        verdict = check_module(self.spec, self.network, search=False)
        self.verdicts["network"] = verdict
        return self.result(verdict.claim, "" if verdict.ok else str(verdict.refusal))

    def by_layers(self) -> tuple[str, bool]:
        """What the network is, and whether its channels have different cocycles somewhere."""
        try:
            graph = LayerTracer(self.network).trace(self.network)
        except Exception as mistake:  # whatever the network does with stand-ins for tensors
            raise CannotDeriveError(f"torch.fx cannot trace the network: {mistake}") from mistake
        env: dict[fx.Node, Any] = {}
        for node in graph.nodes:
            if node.op == "output":
                found = self.gathered(fx.node.map_arg(node.args[0], env.__getitem__))
                if not isinstance(found, Features):
                    return "invariant", False
                return ("equivariant" if found.cocycle == STRICT else "quasi-equivariant"), found.by_channel
            env[node] = self.value(node, env)
            if isinstance(env[node], Features) and env[node].by_channel:
                return "", True
        raise CannotDeriveError("the network has no output")

    def value(self, node: fx.Node, env: dict[fx.Node, Any]) -> Any:
        """What one node gives: features, a part of them, or None for what has no cocycle."""
        args = [fx.node.map_arg(arg, env.__getitem__) for arg in node.args]
        if node.op == "placeholder":
            return Features(STRICT, None)
        if node.op == "get_attr":
            return None
        if node.op == "call_module":
            return self.apply(node.name, self.network.get_submodule(str(node.target)), args)
        if node.op == "call_method":
            return _method(str(node.target), args)
        name = getattr(node.target, "__name__", str(node.target))
        if name in PASSES:
            return args[0]
        if node.target is operator.getitem and isinstance(args[0], Features):
            return Part(args[1], args[0])
        if node.target in (operator.add, torch.add):
            return _sum(args)
        if isinstance(node.target, FunctionType):
            return self.apply(node.name, node.target, args)
        if any(isinstance(arg, (Features, Part)) for arg in args):
            raise CannotDeriveError(f"`{name}` stands between layers and is no layer")
        return None

    def apply(self, name: str, leaf: Callable[..., Any], args: list[Any]) -> Features | None:
        """The law of one leaf, and its line in the derivation."""
        given = self.gathered(args[0]) if len(args) == 1 else None
        if not isinstance(given, Features):
            if any(isinstance(self.gathered(arg), (Features, Part)) for arg in args):
                raise CannotDeriveError(f"`{name}` takes more than one dict of features")
            return None  # on what is invariant, anything may be done
        verdict = self.prove(name, leaf, given.channels)
        if not verdict.ok:
            raise CannotDeriveError(f"`{name}` is not proved: {verdict.refusal}")
        found = self.behind(name, leaf, verdict, given)
        kind = type(leaf).__name__ if isinstance(leaf, nn.Module) else leaf.__name__
        self.layers.append(Layer(name, kind, verdict.claim, found.cocycle if found else ""))
        return found

    def behind(
        self, name: str, leaf: Callable[..., Any], verdict: Verdict, given: Features
    ) -> Features | None:
        """The features behind a leaf of which `verdict` is the proof."""
        if verdict.claim == "invariant":
            return None
        if len(set(verdict.channels)) != 1:
            raise CannotDeriveError(f"`{name}` gives tensors with different channels: {verdict.channels}")
        channels = verdict.channels[0]
        if verdict.claim == "equivariant":
            return Features(given.cocycle, channels)
        mixed = self.prove(f"{name}, mixed", Mixed(leaf, channels or 1), given.channels)
        earlier = "" if given.cocycle == STRICT else f" after {given.cocycle}"
        return Features(f"{name}{earlier}", channels, by_channel=not mixed.ok)

    def prove(self, name: str, leaf: Callable[..., Any], channels: int | None) -> Verdict:
        """The verdict on a leaf; leaves that differ in the values of their weights only share one."""
        key = _key(leaf, channels)
        if key not in self.proved:
            self.proved[key] = check_module(self.spec, leaf, channels=channels, search=False)
            self.verdicts[name] = self.proved[key]
        return self.proved[key]

    def gathered(self, value: Any) -> Any:
        """Features from a dict of their parts, which must have one cocycle; other values as they are."""
        if not isinstance(value, dict) or not any(isinstance(v, Part) for v in value.values()):
            return value
        for name, part in value.items():
            if not isinstance(part, Part) or part.name != name:
                raise CannotDeriveError(f"`{name}` is not given a tensor of its own type")
        found = {part.features for part in value.values()}
        if len(found) != 1:
            shown = ", ".join(sorted(f"{f.cocycle} with {f.channels} channels" for f in found))
            raise CannotDeriveError(f"features with different cocycles meet: {shown}")
        return found.pop()


def _method(name: str, args: list[Any]) -> Any:
    """A method of a tensor that adds or drops the axis of a single channel."""
    part = args[0]
    if not isinstance(part, Part):
        return None
    before, after = {"unsqueeze": (None, 1), "squeeze": (1, None)}.get(name, (0, 0))
    if args[1:] != [-1] or part.features.channels != before or before == 0:
        raise CannotDeriveError(f"the method `{name}` on a tensor between layers has no law")
    return Part(part.name, Features(part.features.cocycle, after, part.features.by_channel))


def _sum(args: list[Any]) -> Any:
    """A sum of two tensors of one type and one cocycle."""
    parts = [arg for arg in args if isinstance(arg, Part)]
    if parts and (len(parts) != 2 or parts[0] != parts[1]):
        cocycles = ", ".join(part.features.cocycle for part in parts)
        raise CannotDeriveError(
            f"a sum needs equal types and equal cocycles, not {cocycles} and what is no feature"
        )
    return parts[0] if parts else None


def _key(leaf: Callable[..., Any], channels: int | None) -> object:
    """Equal for leaves whose graphs are equal."""
    if not isinstance(leaf, nn.Module) or next(leaf.buffers(), None) is not None:
        return leaf, channels
    shapes = tuple((name, tuple(p.shape)) for name, p in leaf.named_parameters())
    settings = tuple(
        (path, name, value)
        for path, part in leaf.named_modules()
        for name, value in vars(part).items()
        if isinstance(value, (int, float, str, bool, type(None)))
    )
    return type(leaf), str(leaf), shapes, settings, channels
