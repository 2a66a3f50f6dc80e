"""The reduce stage: every source tensor to the inputs of every intermediate type.

Takes the first stage of a schedule and prints its operations, one line each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qecompile.codegen.blocks import BLOCKS, BY_BLOCKS, MEAN, MEANS
from qecompile.codegen.writer import LETTERS, Variables, Writer, times_c
from qecompile.plan.nodes import Epsilon, Plan, Side
from qecompile.schedule.nodes import Contract, Encode, Gather, Load, Mean, ReduceOp, Row, Value
from qecompile.schedule.passes import Labels, schedule_reduce


def reduce_constants(plan: Plan, variables: Variables) -> list[str]:
    """The constant tensors that the reductions of a plan read: position codes, Levi-Civita tensors."""
    sides = [row for t in plan.types for row in t.rows]
    return [f"encode_{variables.short[c.space]}" for c in plan.codes] + epsilon_names(sides)


def epsilon_names(sides: Iterable[Side]) -> list[str]:
    """The Levi-Civita tensors that rows or columns use, by the number of their indices."""
    return [f"epsilon_{n}" for n in sorted({epsilon_size(e) for s in sides for e in s.epsilons})]


def epsilon_size(epsilon: Epsilon) -> int:
    """The number of indices of a Levi-Civita tensor, which is also the size of each."""
    return len(epsilon.axes) + len(epsilon.type_axes)


def labels(plan: Plan, variables: Variables) -> Labels:
    """The names of a schedule's values in emitted code."""
    return Labels(variables.of, variables.short, tuple(reduce_constants(plan, variables)))


def write_reduce(w: Writer, name: str, plan: Plan, variables: Variables) -> None:
    """The function that computes the input of every type of the plan."""
    ops = schedule_reduce(plan, variables.spec, labels(plan, variables)).reduce
    streams = _streams(ops)
    if streams:
        for helper in (BY_BLOCKS, BLOCKS, MEANS):
            w.helper(helper)
    if any(len(means) == 1 for means in streams.values()):
        w.helper(MEAN)
    arguments = ["x: dict[str, Tensor]", *(f"{c}: Tensor" for c in reduce_constants(plan, variables))]
    w.line()
    w.line()
    w.call(f"def {name}(", arguments, ") -> tuple[Tensor, ...]:")
    with w.indent():
        w.line('"""What each intermediate type reads: means, traces and diagonals of every tensor."""')
        known: dict[str, Value] = {}
        for op in ops:
            if isinstance(op, Gather):
                continue
            if not (isinstance(op, Mean) and op.joins):
                together = streams.get(op.out.name, [])
                names = [op.out.name, *(mean.out.name for mean in together[1:])]
                expression = _stream(together) if together else _expression(op, known, variables)
                w.line(f"{', '.join(names)} = {expression}")
            known[op.out.name] = op.out
        w.line()
        gathers = [op for op in ops if isinstance(op, Gather)]
        for op in gathers:
            axes = ", ".join(
                ["B", *(variables.short[d.space] for d in op.out.dims), times_c(op.out.count, "C")]
            )
            _write_input(w, op.out.name, [_row(r) for r in op.rows], f"[{axes}]")
        _write_return(w, [op.out.name for op in gathers])


def _streams(ops: Iterable[ReduceOp]) -> dict[str, list[Mean]]:
    """The means that each stream takes, by the name of the first."""
    found: dict[str, list[Mean]] = {}
    first = ""
    for op in ops:
        if isinstance(op, Mean) and op.streams:
            first = first if op.joins else op.out.name
            found.setdefault(first, []).append(op)
    return found


def _stream(means: list[Mean]) -> str:
    """The call that takes some means of one tensor as it is read."""
    dims = ", ".join(str(op.over[0] + 1) for op in means)
    return f"_mean{'s' if len(means) > 1 else ''}({means[0].source}, {dims})"


def _write_return(w: Writer, names: list[str]) -> None:
    bare = "return " + ", ".join(names) + ("," if len(names) == 1 else "")
    if w.fits(bare):
        w.line(bare)
    else:
        w.filled("return (", names, ")")


def _write_input(w: Writer, name: str, parts: list[str], comment: str) -> None:
    """One tensor from its parts, side by side in the channels."""
    if len(parts) == 1:
        w.commented(f"{name} = {parts[0]}", comment)
    else:
        w.call(f"{name} = torch.cat((", parts, "), dim=-1)", comment)


def _row(row: Row) -> str:
    """The expression for one row: [B, axes of the type, multiplicities times channels]."""
    expression = row.source
    places = [k + 1 for k in row.order]
    if places != sorted(places):
        expression += f".permute({', '.join(map(str, (0, *places, -1)))})"
    return expression + (f".flatten({-1 - row.spread})" if row.spread else "")


def _expression(op: Load | Contract | Encode | Mean, known: Mapping[str, Value], variables: Variables) -> str:
    """What one operation computes."""
    match op:
        case Load(param=param):
            return f'x["{param}"]  # {variables.shape(variables.spec.params[param])}'
        case Contract(source=source):
            return _contraction(op, known[source])
        case Encode(source=source, dim=k):
            return _encoding(known[source], k, variables)
        case Mean(source=source, over=over):
            places = tuple(k + 1 for k in over)
            return f"{source}.mean({places[0] if len(places) == 1 else places})"


def _contraction(op: Contract, source: Value) -> str:
    """Diagonals, traces and Levi-Civita tensors, in one einsum."""
    letters = list(LETTERS[: len(source.dims)])
    for group in (*op.diagonals, *op.pairs):
        for k in group:
            letters[k] = letters[group[0]]
    out = "".join(letters[d.at[0]] for d in op.out.dims if d.kind == "axes")
    operands, terms = [op.source], [f"b{''.join(letters)}c"]
    spare = LETTERS[len(source.dims) :]
    for e in op.epsilons:
        fresh, spare = spare[: len(e.type_axes)], spare[len(e.type_axes) :]
        operands.append(f"epsilon_{epsilon_size(e)}")
        terms.append(fresh + "".join(letters[k] for k in e.axes))
        out += fresh
    divisor = 1
    for pair in op.pairs:
        divisor *= source.dims[pair[0]].size
    call = f'torch.einsum("{",".join(terms)}->b{out}c", {", ".join(operands)})'
    return call + (f" / {divisor}" if divisor > 1 else "")


def _encoding(source: Value, k: int, variables: Variables) -> str:
    """The mean of a value times position codes."""
    letters = LETTERS[: len(source.dims)]
    out = letters[:k] + "z" + letters[k + 1 :]
    space, size = source.dims[k].space, source.dims[k].size
    code = f"encode_{variables.short[space]}"
    return f'torch.einsum("b{letters}c,{letters[k]}z->b{out}c", {source.name}, {code}) / {size}'
