"""The expand stage: the outputs of the intermediate types to every target tensor.

The first term of a target is the one that needs no broadcasting; smaller terms are first added to each
other, so that each full-size pass adds as much as possible, and all but the first are added in place.
"""

from __future__ import annotations

from dataclasses import dataclass

from qecompile.codegen.reduce import epsilon_size
from qecompile.codegen.writer import LETTERS, Variables, Writer
from qecompile.identifiers import Names
from qecompile.plan.nodes import Epsilon, Plan, PlanType, Side


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
    names = Names(tuple(variables.of.values()))
    columns: dict[str, list[tuple[PlanType, Side, int]]] = {p: [] for p in variables.spec.params}
    for t in plan.types:
        for column, offset in _columns(t):
            columns[column.param].append((t, column, offset))
    for p in variables.spec.parameters:
        name = variables.of[p.name]
        w.line(f"# {p.name}: {variables.shape(p, 'n')}")
        terms = [_term(w, names, t, column, offset, variables) for t, column, offset in columns[p.name]]
        _write_sum(w, name, p.shape, terms)
        results[p.name] = name
    return results


def _columns(t: PlanType) -> list[tuple[Side, int]]:
    found, offset = [], 0
    for column in t.columns:
        found.append((column, offset))
        offset += column.multiplicity
    return found


def _term(w: Writer, names: Names, t: PlanType, column: Side, offset: int, variables: Variables) -> Term:
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
            code = f"self.decode_{variables.short[space]}"
            expression = _define(
                w,
                names,
                variables,
                t,
                column,
                f'torch.einsum("{_decode(len(dims), k)}", {expression}, {code})',
            )
            fresh = True
    for e in column.epsilons:
        call, dims = _insert_epsilon(expression, dims, e)
        expression = _define(w, names, variables, t, column, call)
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


def _define(w: Writer, names: Names, variables: Variables, t: PlanType, column: Side, call: str) -> str:
    """Give a decoded term a name of its own."""
    name = names.fresh(f"{variables.of[column.param]}_from_{t.name}")
    if w.fits(f"{name} = {call}"):
        w.line(f"{name} = {call}")
    else:
        w.line(f"{name} = (")
        w.line(f"    {call}")
        w.line(")")
    return name


def _insert_epsilon(
    expression: str, dims: list[tuple[int, ...] | None], e: Epsilon
) -> tuple[str, list[tuple[int, ...] | None]]:
    """Contract axes of the type with a Levi-Civita tensor whose other indices are axes of the target."""
    letters, new = LETTERS[: len(dims)], LETTERS[len(dims) : len(dims) + len(e.axes)]
    kept = [k for k in range(len(dims)) if k not in e.type_axes]
    inside = "".join(letters[k] for k in e.type_axes)
    out = "".join(letters[k] for k in kept) + new
    size = epsilon_size(e)
    call = f'torch.einsum("b{letters}c,{new}{inside}->b{out}c", {expression}, self.epsilon_{size})'
    return call, [dims[k] for k in kept] + [(k,) for k in e.axes]


def _write_sum(w: Writer, name: str, shape: tuple[int, ...], terms: list[Term]) -> None:
    plain = sorted((t for t in terms if not t.diagonals), key=lambda t: -len(t.axes))
    diagonal = [t for t in terms if t.diagonals]
    sums = _fold(plain, len(shape))
    if not plain or len(plain[0].axes) < len(shape):  # at tiny sizes the identity may be another diagram
        w.line(f"{name} = {_zeros(terms[0], shape)}")
        _write_added(w, name, sums)
    elif len(sums) > 1:
        _write_sum_of_two(w, name, sums[0], sums[1])
        _write_added(w, name, sums[2:])
    else:  # a slice of a type's output must be copied before it is written to
        w.line(f"{name} = {sums[0]}" + (".clone()" if diagonal and not plain[0].fresh else ""))
    for term in diagonal:
        view, expression = _on_diagonal(name, len(shape), term)
        w.call(f"{view}.add_(", [expression], ")")


def _write_added(w: Writer, name: str, terms: list[str]) -> None:
    """Add terms in place."""
    for term in terms:
        w.call(f"{name}.add_(", [term], ")")


def _write_sum_of_two(w: Writer, name: str, a: str, b: str) -> None:
    """`name = a + b`, over several lines if it is long."""
    if w.fits(f"{name} = {a} + {b}"):
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


def _on_diagonal(name: str, count: int, term: Term) -> tuple[str, str]:
    """The diagonal that a term lives on, and the term with the dimensions of that view.

    A view's dimensions are the batch, the other axes, the channels and then the diagonals.
    """
    view = name
    axes = list(range(count))
    moved: list[int] = []
    for group in term.diagonals:
        head = group[0]
        for k in group[1:]:
            places = [*axes, None, *moved]
            view += f".diagonal(0, {places.index(head) + 1}, {places.index(k) + 1})"
            axes = [j for j in axes if j not in (head, k)]
            moved = [j for j in moved if j != head] + [head]
    place = {group[0]: k + 1 for k, group in enumerate(term.axes)}
    channels = len(place) + 1
    order = [place[k] for k in axes if k in place] + [channels] + [place[k] for k in moved if k in place]
    expression = term.expression
    if order != sorted(order):
        expression += f".permute({', '.join(map(str, (0, *order)))})"
    slots = [":" if k in place else "None" for k in axes] + [":"]
    slots += [":" if k in place else "None" for k in moved]
    return view, expression + _indexing(slots)
