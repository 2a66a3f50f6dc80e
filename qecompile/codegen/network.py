"""Activations, readouts and the network that a `metanet` block declares."""

from __future__ import annotations

from dataclasses import dataclass

from qecompile.activations import FUNCTIONS, Function, choose_activation
from qecompile.codegen.expand import channel_slice
from qecompile.codegen.writer import Writer
from qecompile.errors import Diagnostic, SymError
from qecompile.plan.invariants import InvariantPlan
from qecompile.spec import MetaNet, Spec

HEAD_WIDTH = 64


@dataclass(frozen=True, slots=True)
class Activations:
    """The function of every parameter's features, by name; None where they are gated."""

    of: dict[str, Function | None]

    @property
    def gated(self) -> tuple[str, ...]:
        """The parameters whose features are multiplied by functions of invariants."""
        return tuple(name for name, f in self.of.items() if f is None)


def choose_activations(spec: Spec, net: MetaNet, *, has_invariants: bool) -> Activations:
    """Apply the type rules to every parameter; what cannot be gated, for want of invariants, stays linear.

    Raises:
        SymError: the block asks for a function that a parameter's type forbids.
    """
    chosen = {p.name: choose_activation(spec, p, net.activation) for p in spec.parameters}
    if not has_invariants:
        chosen = {name: f or FUNCTIONS["identity"] for name, f in chosen.items()}
    return Activations(chosen)


def require_invariants(inv: InvariantPlan, why: str) -> None:
    """Refuse what needs invariants where the group leaves none.

    Raises:
        SymError: no linear invariant and no contraction of two tensors exists.
    """
    if inv.count == 0:
        raise SymError(
            [
                Diagnostic(
                    "QE705",
                    f"{why} needs an invariant, and no tensor or pair of tensors of this spec has one",
                    help="declare the parameter on which the group acts dually, or use `readout equivariant`",
                )
            ]
        )


SIGNED_SQUARE = '''
def _signed_square(x: Tensor) -> Tensor:
    """An odd function: x times its absolute value."""
    return x * x.abs()
'''


def write_activation(w: Writer, spec: Spec, chosen: Activations) -> None:
    """The function `activate`, or the class `Activation` where something is gated."""
    if any(f is not None and f.name == "signed_square" for f in chosen.of.values()):
        w.block(SIGNED_SQUARE)
    w.line()
    w.line()
    if not chosen.gated:
        w.line("def activate(x: dict[str, Tensor]) -> dict[str, Tensor]:")
        with w.indent():
            w.line('"""The nonlinearity that the group allows on each tensor, if any."""')
            pairs = [f'"{n}": {f.source.format(_item(n))}' for n, f in chosen.of.items() if f]
            w.call("return {", pairs, "}")
        return
    w.line("class Activation(nn.Module):")
    with w.indent():
        w.line(
            '"""The nonlinearity that the group allows on each tensor: pointwise, or a gate of invariants."""'
        )
        with w.init("channels: int"):
            w.line("self.invariants = Invariants(channels, channels, device=device, dtype=dtype)")
            w.line("self.gate = nn.Linear(")
            w.line(f"    self.invariants.count, {len(chosen.gated)} * channels, device=device, dtype=dtype")
            w.line(")")
        w.line()
        w.line("def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:")
        with w.indent():
            w.line('"""Features [B, *shape, channels] of the same types."""')
            w.line("c = self.invariants.channels")
            w.line("gate = 2 * self.gate(self.invariants(x)).sigmoid()  # one number per tensor and channel")
            w.call("return {", [_activated(n, f, chosen, spec) for n, f in chosen.of.items()], "}")


def _item(name: str) -> str:
    return f'x["{name}"]'


def _activated(name: str, f: Function | None, chosen: Activations, spec: Spec) -> str:
    if f is not None:
        return f'"{name}": {f.source.format(_item(name))}'
    k = chosen.gated.index(name)
    ones = ", None" * len(spec.params[name].axes)
    return f'"{name}": {_item(name)} * gate[:{ones}, {channel_slice(k, k + 1, "c")}]'


READOUTS = '''
class EquivariantReadout(nn.Module):
    """Features to tensors [B, *shape] of the parameters' own types, ready to be used as weights."""

    def __init__(
        self,
        channels: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.linear = EquivariantLinear(channels, 1, device=device, dtype=dtype)

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        """Features [B, *shape, channels] to [B, *shape], by parameter name."""
        y = self.linear(x)
        return {name: y[name].squeeze(-1) for name in SHAPES}
'''

INVARIANT_READOUT = '''
class InvariantReadout(nn.Module):
    """Features to `outputs` numbers that no group element changes."""

    def __init__(
        self,
        channels: int,
        outputs: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.invariants = Invariants(channels, channels, device=device, dtype=dtype)
        self.hidden = nn.Linear(self.invariants.count, {width}, device=device, dtype=dtype)
        self.output = nn.Linear({width}, outputs, device=device, dtype=dtype)

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        """Features [B, *shape, channels] to [B, outputs]."""
        return self.output(F.silu(self.hidden(self.invariants(x))))
'''


def write_readouts(w: Writer, inv: InvariantPlan) -> None:
    """Both readouts; the invariant one where the group leaves invariants."""
    if inv.count:
        w.block(INVARIANT_READOUT.replace("{width}", str(HEAD_WIDTH)))
    w.block(READOUTS)


def write_metanet(w: Writer, net: MetaNet, chosen: Activations, *, alpha: bool) -> None:
    """The class `MetaNet`: layers, alpha-maps and activations behind each, and a readout."""
    steps = list(zip(net.channels, net.channels[1:], strict=False))
    count = f"{net.outputs} number{'s' if net.outputs != 1 else ''}"
    kind = f"an invariant readout of {count}" if net.outputs else "an equivariant readout"
    w.line()
    w.line()
    w.line("class MetaNet(nn.Module):")
    with w.indent():
        w.line(f'"""The network `{net.name}`: channels {", ".join(map(str, net.channels))}, {kind}."""')
        with w.init():
            w.line('options = {"device": device, "dtype": dtype}')
            for k, (a, b) in enumerate(steps):
                w.line(f"self.linear{k + 1} = EquivariantLinear({a}, {b}, **options)")
                if alpha:
                    w.line(f"self.alpha{k + 1} = Alpha({b}, **options)")
                if chosen.gated:
                    w.line(f"self.activation{k + 1} = Activation({b}, **options)")
            last = net.channels[-1]
            if net.outputs:
                w.line(f"self.readout = InvariantReadout({last}, {net.outputs}, **options)")
            else:
                w.line(f"self.readout = EquivariantReadout({last}, **options)")
        _write_forward(w, net, chosen, alpha=alpha)
        if alpha:
            _write_alpha_distances(w, net, chosen)


def _write_forward(w: Writer, net: MetaNet, chosen: Activations, *, alpha: bool) -> None:
    result = "Tensor" if net.outputs else "dict[str, Tensor]"
    gives = f"[B, {net.outputs}]" if net.outputs else "[B, *shape], by parameter name"
    w.line()
    w.line(f"def forward(self, theta: dict[str, Tensor]) -> {result}:")
    with w.indent():
        w.line(f'"""Weights {_input_shape(net)}, by parameter name, to {gives}."""')
        write_input(w, net)
        for k in range(1, len(net.channels)):
            inner = f"self.linear{k}(x)"
            inner = f"self.alpha{k}({inner})" if alpha else inner
            w.line(f"x = {_activated_layer(k, inner, chosen)}")
        w.line("return self.readout(x)")


def _write_alpha_distances(w: Writer, net: MetaNet, chosen: Activations) -> None:
    w.line()
    w.line("@torch.no_grad()")
    w.call(
        "def alpha_distances(",
        ["self", "theta: dict[str, Tensor]"],
        ") -> dict[str, dict[str, tuple[float, float, float]]]:",
    )
    with w.indent():
        w.line(
            '"""How far alpha is from the identity: least, mean and largest |g - 1|, by layer and factor."""'
        )
        write_input(w, net)
        w.line("found = {}")
        for k in range(1, len(net.channels)):
            w.line(f"x = self.linear{k}(x)")
            w.line(f'found["linear{k}"] = self.alpha{k}.distances(x)')
            if k < len(net.channels) - 1:
                w.line(f"x = {_activated_layer(k, f'self.alpha{k}(x)', chosen)}")
        w.line("return found")


def _input_shape(net: MetaNet) -> str:
    return "[B, *shape]" if net.channels[0] == 1 else f"[B, *shape, {net.channels[0]}]"


def write_input(w: Writer, net: MetaNet) -> None:
    """Check the weights, and give them a channel axis if there is one channel."""
    like = "next(self.readout.parameters())"
    if net.channels[0] == 1:
        w.line(f"theta = _check(theta, None, {like})")
        w.line("x = {name: theta[name].unsqueeze(-1) for name in SHAPES}")
    else:
        w.line(f"x = _check(theta, {net.channels[0]}, {like})")


def _activated_layer(k: int, inner: str, chosen: Activations) -> str:
    return f"self.activation{k}({inner})" if chosen.gated else f"activate({inner})"
