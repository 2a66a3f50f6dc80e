"""`reset_parameters` of an emitted layer: the variances of `variance.py`, written as tables."""

from __future__ import annotations

from fractions import Fraction
from itertools import groupby

from qecompile.codegen.variance import Variances, fan_table, variances
from qecompile.codegen.writer import Variables, Writer
from qecompile.plan.nodes import Plan, PlanType


def write_reset(w: Writer, plan: Plan, variables: Variables) -> None:
    """The method that draws all weights of a layer."""
    w.line()
    w.line("def reset_parameters(self) -> None:")
    with w.indent():
        w.line('"""Draw weights that keep the variance of every tensor near that of the inputs."""')
        fans = fan_table(plan, variables.spec)
        for t in plan.types:
            if plan.is_factorised(t):
                _write_factors(w, t, variances(t, fans), plan.context_rank or 1)
            elif t.rows:
                _write_fill(w, t, variances(t, fans))
        for code in plan.codes:
            if code.mode == "lowrank":
                for side in ("encode", "decode"):
                    w.line(f"nn.init.normal_(self.{side}_{variables.short[code.space]})")
        if plan.affine:
            w.line("if self.bias is not None:")
            with w.indent():
                w.line("nn.init.zeros_(self.bias)")


def _write_fill(w: Writer, t: PlanType, v: Variances) -> None:
    columns = [f"({size}, {_number(main)}, {_number(other)})" for size, main, other in v.columns]
    rows = [f"({size}, {plain})" for size, plain in v.rows]
    mask = "" if t.mask is None else f"ALLOWED_{t.name}"
    _write_fill_call(w, f"self.weight_{t.name}", "self.in_channels", rows, columns, mask)


def _write_factors(w: Writer, t: PlanType, v: Variances, rank: int) -> None:
    """Both factors of the context: the left one keeps variance, the right one gives each column its share."""
    w.line(f"nn.init.normal_(self.left_{t.name}, std=self.left_{t.name}.shape[0] ** -0.5)")
    plain = sum(size for size, is_plain in v.rows if is_plain)
    rest = t.height - plain
    shares = [
        (size, (main * plain if main else other * plain) + other * rest) for size, main, other in v.columns
    ]
    columns = [f"({size}, 0, {_number(share / rank)})" for size, share in shares]
    _write_fill_call(w, f"self.right_{t.name}", "self.out_channels", [f"({rank}, False)"], columns, "")


def _write_fill_call(
    w: Writer, weight: str, channels: str, rows: list[str], columns: list[str], mask: str
) -> None:
    short = [weight, channels, f"[{', '.join(repeated(rows))}]", f"[{', '.join(repeated(columns))}]"] + (
        [mask] if mask else []
    )
    if w.fits(f"_fill({', '.join(short)})"):
        w.line(f"_fill({', '.join(short)})")
        return
    w.line("_fill(")
    with w.indent():
        w.line(f"{weight},")
        w.line(f"in_channels={channels},")
        w.filled("rows=[", repeated(rows), "],")
        w.filled("columns=[", repeated(columns), "],")
        if mask:
            w.line(f"allowed={mask},")
    w.line(")")


def _number(value: Fraction) -> str:
    """A variance as a short exact expression."""
    if value.numerator == 0:
        return "0"
    if value.denominator == 1:
        return str(value.numerator)
    return f"{value.numerator} / {value.denominator}"


def repeated(items: list[str]) -> list[str]:
    """The items of a display, runs of equal ones written once, as in `*["x."] * 3`.

    >>> repeated(["a", "b", "b", "b", "c"])
    ['a', '*[b] * 3', 'c']
    """
    runs = [(item, len(list(group))) for item, group in groupby(items)]
    return [item if count == 1 else f"*[{item}] * {count}" for item, count in runs]
