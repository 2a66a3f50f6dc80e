"""The class `Invariants` of an emitted file: what `plan/invariants.py` decides, written down."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from qecompile.codegen.gauge import write_gauge
from qecompile.codegen.linear import write_constants, write_unpacked
from qecompile.codegen.reduce import reduce_constants, write_reduce
from qecompile.codegen.writer import LETTERS, Variables, Writer
from qecompile.plan.dual import Moment, Pairing
from qecompile.plan.invariants import InvariantPlan
from qecompile.plan.nodes import PlanType


def write_invariants(w: Writer, inv: InvariantPlan, variables: Variables) -> None:
    """The gauge, the reductions where they differ from the layer's, and the class `Invariants`."""
    if inv.gauge:
        write_gauge(w, inv.gauge, variables)
        write_reduce(w, "reduce_fixed", replace(inv.plan, types=inv.read), variables)
    w.line()
    w.line()
    w.line("class Invariants(nn.Module):")
    with w.indent():
        w.line(f'"""Invariants of features [B, *shape, channels]: {inv.count} times `features` of them.')
        w.line()
        if inv.gauge:
            w.line("The features are made free of scales first.")
        w.line("For each type that the group only permutes: the mean of a nonlinear map of its channels.")
        if inv.pairs:
            w.line("For the others: the contraction of the type with its dual.")
        if inv.moments:
            w.line("For vector axes without a dual type: the contraction of second moments.")
        if inv.channelwise:
            w.line("Contractions keep channels apart, for each has been moved by a group element of its own.")
        w.line('"""')
        _write_class_init(w, inv, variables)
        _write_class_forward(w, inv, variables)


def _write_class_init(w: Writer, inv: InvariantPlan, variables: Variables) -> None:
    with w.init("channels: int", "features: int"):
        if inv.channelwise:
            w.line("if features != channels:")
            w.line('    raise ValueError(f"one feature per channel: {features} for {channels} channels")')
        w.line("self.channels, self.features = channels, features")
        w.line(f"self.count = {inv.count} * features")
        w.line('options = {"device": device, "dtype": dtype}')
        for t in inv.neutral:
            w.line(_weight(f"weight_{t.name}", t))
            w.line(f"self.shift_{t.name} = nn.Parameter(torch.zeros(features, **options))")
        for pair in inv.pairs:
            w.line(_weight(f"left_{pair.left.name}", pair.left, inv.channelwise))
            w.line(_weight(f"right_{pair.left.name}", pair.right, inv.channelwise))
        for t in inv.moment_types:
            w.line(_weight(f"moment_{t.name}", t, inv.channelwise))
        write_constants(w, inv.plan, variables, ("encode",))
        w.line("self.reset_parameters()")
    w.line()
    w.line("def reset_parameters(self) -> None:")
    with w.indent():
        w.line('"""Draw weights that keep variances; shifts start at zero."""')
        w.line("for name, parameter in self.named_parameters():")
        with w.indent():
            w.line('if name.startswith("shift"):')
            w.line("    nn.init.zeros_(parameter)")
            w.line('elif name.startswith("encode"):')
            w.line("    nn.init.normal_(parameter)")
            w.line("else:")
            w.line("    nn.init.normal_(parameter, std=parameter.shape[-2] ** -0.5)")


def _weight(name: str, t: PlanType, channelwise: bool = False) -> str:
    sizes = [str(t.axes[k].size) for k in t.own]
    if channelwise:
        shape = ", ".join([*sizes, str(t.height), "channels"])
        return f"self.{name} = nn.Parameter(torch.empty({shape}, **options))"
    height = "channels" if t.height == 1 else f"{t.height} * channels"
    return f"self.{name} = nn.Parameter(torch.empty({', '.join([*sizes, height, 'features'])}, **options))"


def _write_class_forward(w: Writer, inv: InvariantPlan, variables: Variables) -> None:
    w.line()
    w.line("def forward(self, x: dict[str, Tensor]) -> Tensor:")
    with w.indent():
        w.line(f'"""Features [B, *shape, channels] to invariants [B, {inv.count} * features]."""')
        w.line("x = _check(x, self.channels, next(self.parameters()))")
        write_read(w, inv, variables)
        w.line("found = []")
        for t in inv.neutral:
            mixed = f"{_apply(t, f'weight_{t.name}')} + self.shift_{t.name}"
            w.line(f"found.append(F.silu({mixed}){_mean(len(t.axes))})")
        for pair in inv.pairs:
            _write_pair(w, pair, inv.channelwise)
        for moments in inv.moments:
            _write_moments(w, *moments, inv.channelwise)
        w.line("return torch.cat(found, dim=-1)")


def write_read(
    w: Writer, inv: InvariantPlan, variables: Variables, wanted: frozenset[str] | None = None
) -> None:
    """Assign the gauge-fixed features of each type (of the wanted names) to its variable."""
    types = inv.plan.types if inv.shares_reduce else inv.read
    names = [f"x_{t.name}" if wanted is None or t.name in wanted else "_" for t in types if t.rows]
    arguments = ["fix_gauge(x)" if inv.gauge else "x"]
    arguments += [f"self.{c}" for c in reduce_constants(replace(inv.plan, types=types), variables)]
    function = "reduce_features" if inv.shares_reduce else "reduce_fixed"
    write_unpacked(w, names, f"{function}({', '.join(arguments)})")


def _mean(axes: int) -> str:
    if axes == 0:
        return ""
    return f".mean({'1' if axes == 1 else tuple(range(1, axes + 1))})"


def _apply(t: PlanType, weight: str, channelwise: bool = False) -> str:
    letters = LETTERS[: len(t.axes)]
    own = "".join(letters[k] for k in t.own)
    if channelwise:
        split = f"x_{t.name}.unflatten(-1, ({t.height}, self.channels))"
        return f'torch.einsum("b{letters}zc,{own}zc->b{letters}c", {split}, self.{weight})'
    if not t.own:
        return f"x_{t.name} @ self.{weight}"
    return f'torch.einsum("b{letters}c,{own}cz->b{letters}z", x_{t.name}, self.{weight})'


def _write_pair(w: Writer, pair: Pairing, channelwise: bool) -> None:
    name = pair.left.name
    w.line(f"left = {_apply(pair.left, f'left_{name}', channelwise)}")
    w.line(f"right = {_apply(pair.right, f'right_{name}', channelwise)}")
    right = "right"
    if pair.match != tuple(range(len(pair.match))):
        right += f".permute({', '.join(map(str, (0, *(k + 1 for k in pair.match), -1)))})"
    w.line(f"found.append((left * {right}){_mean(len(pair.left.axes))}.asinh())")


def _write_moments(w: Writer, left: Moment, right: Moment, channelwise: bool) -> None:
    w.line(f"left = {_second_moment(w, 'left', left, channelwise)}")
    w.line(f"right = {_second_moment(w, 'right', right, channelwise)}")
    w.line(f"found.append((left * right){_mean(len(left.parents) + 2)}.asinh())")


def _second_moment(w: Writer, name: str, m: Moment, channelwise: bool) -> str:
    """Its square, averaged over all axes but the vector axis and its ancestors: [B, *ancestors, d, d, F]."""
    w.line(f"{name} = {_apply(m.type, f'moment_{m.type.name}', channelwise)}")
    letters = LETTERS[: len(m.type.axes)]
    kept = "".join(letters[k] for k in m.parents)
    first, second = letters[m.strand], "z"
    other = letters.replace(first, second)
    averaged = [a.size for k, a in enumerate(m.type.axes) if k != m.strand and k not in m.parents]
    divisor = f" / {prod(averaged)}" if averaged else ""
    return f'torch.einsum("b{letters}f,b{other}f->b{kept}{first}{second}f", {name}, {name}){divisor}'
