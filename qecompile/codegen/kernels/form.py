"""How the summands of a target lie in it: which of its axes each runs along, and which axes go as one.

Takes sums that hold a product, gives a `Form` for each. With axes A = (batch, a_1, ..., a_k) of the target,

    y[i, n] = sum_c x[i, c] w[c, n] + sum_p part_p[i restricted to S_p, n],    i over A, S_p a subset of A.

Neighbouring axes that lie in the same S_p, and that are neighbours in x as well, are walked as one axis: the
sum is the same, since row-major order of the two is the order of their product. What is left has few shapes,
so parameters share kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qecompile.codegen.writer import Variables
from qecompile.schedule.nodes import ExpandOp, Mix, Sum

Axes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """The axes of a target in `merged` groups (0 is the batch), and the groups that each part runs along.

    `names` has a name for each group; `owner` is the variable of the target. `shapes` are those of the target
    and of its parts, without batch and channels: by them the emitted file knows a sum.
    """

    owner: str
    shapes: tuple[Axes, ...]
    names: tuple[str, ...]
    merged: tuple[Axes, ...]
    spans: tuple[Axes, ...]

    @property
    def kernel(self) -> tuple[int, tuple[Axes, ...]]:
        """What a kernel depends on: the number of groups, and which of them each part runs along."""
        return len(self.merged), self.spans

    def label(self, span: Axes) -> str:
        """Some groups, as comments call them."""
        return f"[{', '.join(self.names[k] for k in span)}]"


def form_of(op: Sum, variables: Variables) -> Form:
    """The form of a sum that holds a product."""
    parts = [{0, *(group[0] + 1 for group in part.slice.groups)} for part in op.parts]
    return merge(op, variables, parts, [])[0]


def merge(
    op: Sum, variables: Variables, parts: Sequence[set[int]], others: Sequence[set[int]]
) -> tuple[Form, tuple[Axes, ...]]:
    """The form of a sum whose parts run along some axes, with more sets of axes told in the same groups."""
    assert op.product is not None
    places = (0, *(k + 1 for k in op.product.order))  # of the axes, in x as it is stored
    merged: list[list[int]] = [[0]]
    for k in range(1, len(op.out.dims) + 1):
        alike = all((k in axes) == (k - 1 in axes) for axes in (*parts, *others))
        if alike and places[k] == places[k - 1] + 1:
            merged[-1].append(k)
        else:
            merged.append([k])
    shorts = ["B", *(variables.short[d.space] for d in op.out.dims)]
    names: list[str] = []
    for group in merged:
        name = "_".join(shorts[k] for k in group)
        names.append(name if name not in names else f"{name}_{len(names)}")
    spans, kept = (
        tuple(tuple(g for g, group in enumerate(merged) if group[0] in axes) for axes in sets)
        for sets in (parts, others)
    )
    sizes = tuple(d.size for d in op.out.dims)
    shapes = [sizes] + [tuple(n if k + 1 in part else 1 for k, n in enumerate(sizes)) for part in parts]
    return Form(op.out.name, tuple(shapes), tuple(names), tuple(map(tuple, merged)), spans), kept


def forms_of(ops: Iterable[ExpandOp], variables: Variables) -> tuple[Form, ...]:
    """The form of every sum that holds a product and parts."""
    return tuple(form_of(op, variables) for op in ops if isinstance(op, Sum) and op.product and op.parts)


def rows_of(ops: Iterable[ExpandOp]) -> tuple[str, ...]:
    """What is a product alone, of something large: targets, and outputs of types."""
    return tuple(
        op.out.name
        for op in ops
        if (isinstance(op, Sum) and op.product and not op.parts) or (isinstance(op, Mix) and op.streams)
    )


ROWS = Form("rows", (), ("row",), ((0,),), ())
"""That of a product alone: its rows may lie in any order."""


def kernel_owners(forms: Iterable[Form]) -> dict[tuple[int, tuple[Axes, ...]], Form]:
    """The first form for each kernel, which gives it its name and the names of its axes."""
    owners: dict[tuple[int, tuple[Axes, ...]], Form] = {}
    for form in forms:
        owners.setdefault(form.kernel, form)
    return owners
