"""The expand stage: the outputs of the intermediate types to every target tensor.

The first term of a target is the one that needs no broadcasting; smaller terms are first added to each
other, so that each full-size pass adds as much as possible, and all but the first are added in place.
"""

from __future__ import annotations

from dataclasses import dataclass

from qecompile.codegen.reduce import epsilon_size
from qecompile.codegen.writer import LETTERS, WIDTH, Variables, Writer
from qecompile.plan.nodes import Plan, PlanType, Side


@dataclass(frozen=True, slots=True)
class Term:
    """A summand of a target: `axes` are the axis groups it depends on, in the order of its dimensions."""

    source: str
    expression: str
    axes: tuple[tuple[int, ...], ...]
    diagonals: tuple[tuple[int, ...], ...]
    fresh: bool


def write_expand(w: Writer, plan: Plan, variables: Variables) -> dict[str, str]:
    """Write the sum of every target; gives the variable that holds each."""
    results: dict[str, str] = {}
    for p in variables.spec.parameters:
        name = variables.of[p.name]
        w.line(f"# {p.name}: {variables.shape(p, 'n')}")
        terms = [
            _term(t, column, offset, variables)
            for t in plan.types
            for column, offset in _columns(t)
            if column.param == p.name
        ]
        _write_sum(w, name, p.shape, terms)
        results[p.name] = name
    return results


def _columns(t: PlanType) -> list[tuple[Side, int]]:
    found, offset = [], 0
    for column in t.columns:
        found.append((column, offset))
        offset += column.multiplicity
    return found


def _term(t: PlanType, column: Side, offset: int, variables: Variables) -> Term:
    """One column: its slice of the type's output, decoded, with its dimensions named."""
    expression = f"y_{t.name}"
    whole = column.multiplicity == t.width
    if not whole:
        expression += f"[..., {channel_slice(offset, offset + column.multiplicity, 'n')}]"
    if column.spread:
        sizes = ", ".join(str(s.size) for s in column.spread)
        expression += f".unflatten(-1, ({sizes}, n))"
    dims: list[tuple[int, ...] | None] = [group or None for group in column.through]
    dims += [s.axes for s in column.spread]
    fresh = whole
    for s in column.spread:
        if s.coded:
            k = dims.index(s.axes)
            space = variables.spec.params[column.param].axes[s.axes[0]].space
            equation, code = _decode(len(dims), k), f"decode_{variables.short[space]}"
            expression = f'torch.einsum("{equation}", {expression}, self.{code})'
            fresh = True
    for e in column.epsilons:
        expression, dims = _insert_epsilon(expression, dims, e.axes, e.type_axes)
        fresh = True
    axes = tuple(d for d in dims if d is not None)
    pairs = tuple(column.pairs)
    groups = (*axes, *column.pooled, *pairs)
    return Term(f"y_{t.name}", expression, axes, tuple(sorted(g for g in groups if len(g) > 1)), fresh)


def channel_slice(first: int, last: int, n: str) -> str:
    """The slice from `first` to `last` times n channels, as in `2 * n : 3 * n`."""
    if first == 0:
        return f":{n}" if last == 1 else f": {last} * {n}"
    return f"{n if first == 1 else f'{first} * {n}'} : {last} * {n}"


def _decode(dims: int, k: int) -> str:
    letters = LETTERS[:dims]
    return f"b{letters}c,z{letters[k]}->b{letters[:k]}z{letters[k + 1 :]}c"


def _insert_epsilon(
    expression: str,
    dims: list[tuple[int, ...] | None],
    axes: tuple[int, ...],
    type_axes: tuple[int, ...],
) -> tuple[str, list[tuple[int, ...] | None]]:
    """Contract axes of the type with a Levi-Civita tensor whose other indices are axes of the target."""
    letters, new = LETTERS[: len(dims)], LETTERS[len(dims) : len(dims) + len(axes)]
    kept = [k for k in range(len(dims)) if k not in type_axes]
    inside = "".join(letters[k] for k in type_axes)
    out = "".join(letters[k] for k in kept) + new
    size = len(axes) + len(type_axes)
    call = f'torch.einsum("b{letters}c,{new}{inside}->b{out}c", {expression}, self.epsilon_{size})'
    return call, [dims[k] for k in kept] + [(k,) for k in axes]


def _write_sum(w: Writer, name: str, shape: tuple[int, ...], terms: list[Term]) -> None:
    plain = sorted((t for t in terms if not t.diagonals), key=lambda t: -len(t.axes))
    diagonal = [t for t in terms if t.diagonals]
    sums = _fold(plain, len(shape))
    if not plain or len(plain[0].axes) < len(shape):  # at tiny sizes the identity may be another diagram
        w.line(f"{name} = {_zeros(terms[0], shape)}")
        w.lines(f"{name}.add_({term})" for term in sums)
    elif len(sums) > 1:
        write_sum_of_two(w, name, sums[0], sums[1])
        w.lines(f"{name}.add_({term})" for term in sums[2:])
    else:  # a slice of a type's output must be copied before it is written to
        w.line(f"{name} = {sums[0]}" + (".clone()" if diagonal and not plain[0].fresh else ""))
    w.lines(_write_diagonal(name, len(shape), t) for t in diagonal)


def write_sum_of_two(w: Writer, name: str, a: str, b: str) -> None:
    """`name = a + b`, over several lines if it is long."""
    if len(name) + len(a) + len(b) + 6 < WIDTH - 8:
        w.line(f"{name} = {a} + {b}")
        return
    w.line(f"{name} = (")
    with w.indent():
        w.line(a)
        w.line(f"+ {b}")
    w.line(")")


def _zeros(term: Term, shape: tuple[int, ...]) -> str:
    sizes = ", ".join(map(str, (*shape, "n")))
    return f"{term.source}.new_zeros({term.source}.shape[0], {sizes})"


def _fold(terms: list[Term], count: int) -> list[str]:
    """Sum terms into larger ones that already vary along all their axes; the largest stays alone.

    W + row[:, :, None] + col[:, None] + total becomes W + (row + total[:, None])[:, :, None], then col.
    """
    inner: list[list[str]] = [[] for _ in terms]
    alive = [True] * len(terms)
    for k in range(len(terms) - 1, 0, -1):
        for j in range(k - 1, 0, -1):
            mine, theirs = set(terms[k].axes), set(terms[j].axes)
            if mine <= theirs and len(theirs) < count:
                order = sorted(theirs)
                inner[j].append(_aligned(terms[k], inner[k], order))
                alive[k] = False
                break
    everything: list[tuple[int, ...]] = [(k,) for k in range(count)]
    return [_aligned(t, inner[k], everything) for k, t in enumerate(terms) if alive[k]]


def _aligned(term: Term, inner: list[str], order: list[tuple[int, ...]]) -> str:
    """The term with one dimension for each axis in `order`, of size 1 where it does not vary."""
    mine = sorted(term.axes)
    expression = term.expression
    places = [term.axes.index(group) + 1 for group in mine]
    if places != sorted(places):
        expression += f".permute({', '.join(map(str, (0, *places, -1)))})"
    if inner:
        expression = f"({' + '.join([expression, *inner])})"
    return expression + _indexing([":" if group in mine else "None" for group in order])


def _indexing(places: list[str]) -> str:
    """`[:, None, :]` without what stands at the end for itself; empty if nothing is inserted."""
    while places and places[-1] == ":":
        places = places[:-1]
    return f"[{', '.join([':', *places])}]" if places else ""


def _write_diagonal(name: str, count: int, term: Term) -> str:
    """Add a term on the diagonals that it lives on; diagonal dimensions come after the channels."""
    view, dims = name, [(k,) for k in range(count)]
    moved: list[tuple[int, ...]] = []
    for group in term.diagonals:
        head = group[0]
        for k in group[1:]:
            places = [*dims, None, *moved]
            view += f".diagonal(0, {places.index((head,)) + 1}, {places.index((k,)) + 1})"
            dims = [d for d in dims if d not in ((head,), (k,))]
            moved = [d for d in moved if d != (head,)] + [(head,)]
    mine = {group[0]: place + 1 for place, group in enumerate(term.axes)}
    places = [mine[d[0]] for d in dims if d[0] in mine] + [-1] + [mine[d[0]] for d in moved if d[0] in mine]
    expression = term.expression
    last = len(mine) + 1
    if [p if p > 0 else last for p in places] != sorted(p if p > 0 else last for p in places):
        expression += f".permute({', '.join(map(str, (0, *places)))})"
    slots = [":" if d[0] in mine else "None" for d in dims] + [":"]
    slots += [":" if d[0] in mine else "None" for d in moved]
    return f"{view}.add_({expression}{_indexing(slots)})"
