"""The rewrite for layers in a stack: sums that are handed on in parts, and means on the way of a product.

    W = x_a_b @ weight_a_b + row{a} + col{b};  next layer: W_by_a = mean W over b, x_a_b = gather W

becomes a product that is written alone, with parts that the next layer adds as it reads, and means that the
pass of the next product takes: one read and one write of W for a layer. It changes which passes there are,
not what is computed. Possible where a parameter is read by means and by its own product alone, in the order
of its axes, and where nothing is added on diagonals. Between the layers there must be pointwise functions
alone: the caller answers for that.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from qecompile.schedule.nodes import Gather, Load, Mean, Mix, Product, Row, Schedule, Sum, sources


def defer_broadcasts(s: Schedule, pointwise: Collection[str]) -> Schedule:
    """Hand on the sums of all parameters in `pointwise` where that is possible."""
    if any(isinstance(op, Mix) and op.source is None for op in s.expand):
        return s  # it asks an input for its dtype
    chosen = {
        op.param
        for op in s.expand
        if isinstance(op, Sum) and op.param in pointwise and op.product is not None and not op.diagonals
        if not _has_other_reads(op.param, op.product, s)
    }
    loads = {op.out.name for op in s.reduce if isinstance(op, Load) and op.param in chosen}
    return replace(
        s,
        reduce=tuple(
            replace(op, on_the_way=True) if isinstance(op, Mean) and op.source in loads else op
            for op in s.reduce
        ),
        expand=tuple(
            replace(op, deferred=True) if isinstance(op, Sum) and op.param in chosen else op
            for op in s.expand
        ),
    )


def _has_other_reads(param: str, product: Product, s: Schedule) -> bool:
    """Whether anything but means and the product reads a parameter, or the product reads more than it."""
    load = next(op.out.name for op in s.reduce if isinstance(op, Load) and op.param == param)
    in_order, alone = tuple(sorted(product.order)), False
    for op in s.reduce:
        match op:
            case Mean():
                pass
            case Gather(out=out, rows=(Row(source=source, order=order, spread=0),)) if source == load:
                alone = out.name == product.source and order == product.order == in_order
                if not alone:
                    return True
            case _ if load in sources(op):
                return True
    return not alone


def means_on_the_way(s: Schedule, param: str) -> tuple[tuple[int, ...], ...]:
    """The dimensions of the means that are taken by the pass of a parameter's product."""
    load = next(op.out.name for op in s.reduce if isinstance(op, Load) and op.param == param)
    return tuple(op.over for op in s.reduce if isinstance(op, Mean) and op.source == load and op.on_the_way)
