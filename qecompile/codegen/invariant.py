"""Invariants of features, for readouts and gates: what the group cannot change.

Features are gauge-fixed first (`plan/gauge.py`). Then every intermediate type gives invariants: a
neutral one the mean over its axes of a nonlinear map of its channels, a charged or vector one its
contraction with the dual type (`plan/dual.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from qecompile.codegen.gauge import write_gauge
from qecompile.codegen.linear import write_constants, write_unpacked
from qecompile.codegen.reduce import reduce_constants, write_reduce
from qecompile.codegen.writer import LETTERS, Variables, Writer
from qecompile.plan.build import build_plan
from qecompile.plan.dual import Moment, MomentPairing, Pairing, moment_pairings, pairings
from qecompile.plan.gauge import GaugeStep, gauge_steps
from qecompile.plan.nodes import Code, Plan, PlanType
from qecompile.signature import Signatures
from qecompile.spec import Spec


@dataclass(frozen=True, slots=True)
class InvariantPlan:
    """How invariants are computed: the gauge, the types of gauge-fixed features, and their pairings."""

    gauge: tuple[GaugeStep, ...]
    plan: Plan
    pairs: tuple[Pairing, ...]
    moments: tuple[MomentPairing, ...]
    shares_reduce: bool

    @property
    def neutral(self) -> tuple[PlanType, ...]:
        """The types whose entries the group only permutes."""
        return tuple(t for t in self.plan.types if t.is_neutral and t.rows)

    @property
    def count(self) -> int:
        """The number of groups of invariants, each of `features` values."""
        return len(self.neutral) + len(self.pairs) + len(self.moments)

    @property
    def moment_types(self) -> tuple[PlanType, ...]:
        """The types whose second moments are taken, each once."""
        return tuple(dict.fromkeys(m.type for pair in self.moments for m in pair))

    @property
    def unread(self) -> tuple[str, ...]:
        """The parameters that no invariant sees, in order of their first type."""
        seen = {row.param for t in self.read for row in t.rows}
        rows = [row.param for t in self.plan.types for row in t.rows]
        return tuple(dict.fromkeys(p for p in rows if p not in seen))

    @property
    def read(self) -> tuple[PlanType, ...]:
        """The types that some invariant reads."""
        keys = {t.key for t in self.neutral} | {t.key for p in self.pairs for t in (p.left, p.right)}
        keys |= {m.type.key for pair in self.moments for m in pair}
        return tuple(t for t in self.plan.types if t.key in keys and t.rows)


def plan_invariants(spec: Spec, codes: tuple[Code, ...], layer: Plan) -> InvariantPlan:
    """The invariants of a spec's features; without scale charges they share the layer's reductions."""
    steps = gauge_steps(spec)
    ranks = {c.space: c.rank for c in codes}
    signatures = Signatures(spec, ranks, frozenset((s.space, s.character) for s in steps))
    plan = build_plan(signatures, codes) if steps else layer
    pairs = pairings(plan, signatures.roots)
    return InvariantPlan(steps, plan, pairs, moment_pairings(plan, pairs), not steps)


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
        w.line('"""')
        _write_class_init(w, inv, variables)
        _write_class_forward(w, inv, variables)


def _write_class_init(w: Writer, inv: InvariantPlan, variables: Variables) -> None:
    with w.init("channels: int", "features: int"):
        w.line("self.channels, self.features = channels, features")
        w.line(f"self.count = {inv.count} * features")
        w.line('options = {"device": device, "dtype": dtype}')
        for t in inv.neutral:
            w.line(_weight(f"weight_{t.name}", t))
            w.line(f"self.shift_{t.name} = nn.Parameter(torch.zeros(features, **options))")
        for pair in inv.pairs:
            w.line(_weight(f"left_{pair.left.name}", pair.left))
            w.line(_weight(f"right_{pair.left.name}", pair.right))
        for t in inv.moment_types:
            w.line(_weight(f"moment_{t.name}", t))
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


def _weight(name: str, t: PlanType) -> str:
    sizes = [str(t.axes[k].size) for k in t.own]
    height = "channels" if t.height == 1 else f"{t.height} * channels"
    return f"self.{name} = nn.Parameter(torch.empty({', '.join([*sizes, height, 'features'])}, **options))"


def _write_class_forward(w: Writer, inv: InvariantPlan, variables: Variables) -> None:
    w.line()
    w.line("def forward(self, x: dict[str, Tensor]) -> Tensor:")
    with w.indent():
        w.line(f'"""Features [B, *shape, channels] to invariants [B, {inv.count} * features]."""')
        w.line("x = _check(x, self.channels, next(self.parameters()))")
        types = inv.plan.types if inv.shares_reduce else inv.read
        names = [f"x_{t.name}" for t in types if t.rows]
        arguments = ["fix_gauge(x)" if inv.gauge else "x"]
        arguments += [f"self.{c}" for c in reduce_constants(replace(inv.plan, types=types), variables)]
        function = "reduce_features" if inv.shares_reduce else "reduce_fixed"
        write_unpacked(w, names, f"{function}({', '.join(arguments)})")
        w.line("found = []")
        for t in inv.neutral:
            mixed = f"{_apply(t, f'weight_{t.name}')} + self.shift_{t.name}"
            w.line(f"found.append(F.silu({mixed}){_mean(len(t.axes))})")
        for pair in inv.pairs:
            _write_pair(w, pair)
        for moments in inv.moments:
            _write_moments(w, *moments)
        w.line("return torch.cat(found, dim=-1)")


def _mean(axes: int) -> str:
    if axes == 0:
        return ""
    return f".mean({'1' if axes == 1 else tuple(range(1, axes + 1))})"


def _apply(t: PlanType, weight: str) -> str:
    if not t.own:
        return f"x_{t.name} @ self.{weight}"
    letters = LETTERS[: len(t.axes)]
    own = "".join(letters[k] for k in t.own)
    return f'torch.einsum("b{letters}c,{own}cz->b{letters}z", x_{t.name}, self.{weight})'


def _write_pair(w: Writer, pair: Pairing) -> None:
    name = pair.left.name
    w.line(f"left = {_apply(pair.left, f'left_{name}')}")
    w.line(f"right = {_apply(pair.right, f'right_{name}')}")
    right = "right"
    if pair.match != tuple(range(len(pair.match))):
        right += f".permute({', '.join(map(str, (0, *(k + 1 for k in pair.match), -1)))})"
    w.line(f"found.append((left * {right}){_mean(len(pair.left.axes))}.asinh())")


def _write_moments(w: Writer, left: Moment, right: Moment) -> None:
    w.line(f"left = {_second_moment(w, 'left', left)}")
    w.line(f"right = {_second_moment(w, 'right', right)}")
    w.line(f"found.append((left * right){_mean(len(left.parents) + 2)}.asinh())")


def _second_moment(w: Writer, name: str, m: Moment) -> str:
    """Its square, averaged over all axes but the vector axis and its ancestors: [B, *ancestors, d, d, F]."""
    w.line(f"{name} = {_apply(m.type, f'moment_{m.type.name}')}")
    letters = LETTERS[: len(m.type.axes)]
    kept = "".join(letters[k] for k in m.parents)
    first, second = letters[m.strand], "z"
    other = letters.replace(first, second)
    averaged = [a.size for k, a in enumerate(m.type.axes) if k != m.strand and k not in m.parents]
    divisor = f" / {prod(averaged)}" if averaged else ""
    return f'torch.einsum("b{letters}f,b{other}f->b{kept}{first}{second}f", {name}, {name}){divisor}'
