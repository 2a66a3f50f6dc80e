"""Which invariants a spec's features have, and what they are read from: for readouts, gates and alpha-maps.

Features are gauge-fixed first (`gauge.py`). Then every intermediate type gives invariants: a neutral one the
mean over its axes of a nonlinear map of its channels, a charged or vector one its contraction with the dual
type, or of its second moment with a dual one (`dual.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from qecompile.plan.build import build_plan
from qecompile.plan.dual import MomentPairing, Pairing, moment_pairings, pairings
from qecompile.plan.gauge import GaugeStep, gauge_steps
from qecompile.plan.nodes import Code, Plan, PlanType
from qecompile.signature import Signatures
from qecompile.spec import Spec


@dataclass(frozen=True, slots=True)
class InvariantPlan:
    """How invariants are computed: the gauge, the types of gauge-fixed features, and their pairings.

    `channelwise` says that types on which a continuous group acts are contracted channel by channel, because
    every channel may have been moved by a group element of its own. Neutral types are mixed freely all the
    same: on gauge-fixed features, and on traces, no such element acts any more.
    """

    gauge: tuple[GaugeStep, ...]
    plan: Plan
    pairs: tuple[Pairing, ...]
    moments: tuple[MomentPairing, ...]
    shares_reduce: bool
    channelwise: bool = False

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
