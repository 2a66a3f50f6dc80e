"""The expand stage: the outputs of the intermediate types to every target tensor.

Takes the second stage of a schedule and prints its operations, target by target.
"""

from __future__ import annotations

from collections.abc import Sequence

from qecompile.codegen.reduce import epsilon_size
from qecompile.codegen.writer import LETTERS, Variables, Writer
from qecompile.schedule.nodes import (
    Decode,
    ExpandOp,
    Group,
    Insert,
    Mix,
    OnDiagonal,
    Part,
    Product,
    Slice,
    Sum,
)


def write_expand(w: Writer, ops: Sequence[ExpandOp], variables: Variables) -> dict[str, str]:
    """Write the sum of every target; gives the variable that holds each."""
    results: dict[str, str] = {}
    current = ""
    for op in ops:
        if isinstance(op, Mix):
            continue
        if op.param != current:
            current = op.param
            p = variables.spec.params[current]
            w.line(f"# {p.name}: {variables.shape(p, 'n')}")
        match op:
            case Decode():
                _define(w, op.out.name, _decoding(op, variables))
            case Insert():
                _define(w, op.out.name, _insertion(op))
            case Sum():
                _write_sum(w, op)
                results[op.param] = op.out.name
    return results


def _slice(piece: Slice) -> str:
    """A slice of a type's output, multiplicities apart from channels."""
    expression = piece.source
    if not piece.whole:
        expression += f"[..., {channel_slice(piece.first, piece.last, 'n')}]"
    if piece.split:
        expression += f".unflatten(-1, ({', '.join(map(str, piece.split))}, n))"
    return expression


def channel_slice(first: int, last: int, n: str) -> str:
    """The slice from `first` to `last` times n channels, as in `2 * n : 3 * n`."""
    if first == 0:
        return f":{n}" if last == 1 else f": {last} * {n}"
    return f"{n if first == 1 else f'{first} * {n}'} : {last} * {n}"


def _decoding(op: Decode, variables: Variables) -> str:
    """Codes to index values."""
    k, letters = op.dim, LETTERS[: len(op.slice.dims)]
    equation = f"b{letters}c,z{letters[k]}->b{letters[:k]}z{letters[k + 1 :]}c"
    code = f"self.decode_{variables.short[op.out.dims[k].space]}"
    return f'torch.einsum("{equation}", {_slice(op.slice)}, {code})'


def _insertion(op: Insert) -> str:
    """Axes of the type contracted with a Levi-Civita tensor whose other indices are axes of the target."""
    e, dims = op.epsilon, op.slice.dims
    letters, new = LETTERS[: len(dims)], LETTERS[len(dims) : len(dims) + len(e.axes)]
    place = {d.at[0]: letters[k] for k, d in enumerate(dims) if d.kind == "type"}
    inside = "".join(place[k] for k in e.type_axes)
    out = "".join(letter for letter in letters if letter not in inside) + new
    size = epsilon_size(e)
    return f'torch.einsum("b{letters}c,{new}{inside}->b{out}c", {_slice(op.slice)}, self.epsilon_{size})'


def _define(w: Writer, name: str, call: str) -> None:
    """Give a decoded slice a name of its own."""
    if w.fits(f"{name} = {call}"):
        w.line(f"{name} = {call}")
    else:
        w.line(f"{name} = (")
        w.line(f"    {call}")
        w.line(")")


def _write_sum(w: Writer, op: Sum) -> None:
    name, parts = op.out.name, [_part(p) for p in op.parts]
    if op.product is not None:
        factors = [_source(op.product), f"self.weight_{op.product.type.name}"]
        w.call(f"{name} = _mix(", [*factors, *parts], ")")
    elif not op.covers:  # at tiny sizes the identity may be another diagram
        w.line(f"{name} = {_zeros(op)}")
        _write_added(w, name, parts)
    elif len(parts) > 1:
        _write_sum_of_two(w, name, parts[0], parts[1])
        _write_added(w, name, parts[2:])
    else:  # a slice of a type's output must be copied before it is written to
        w.line(f"{name} = {parts[0]}" + (".clone()" if op.diagonals and not op.parts[0].slice.whole else ""))
    for term in op.diagonals:
        view, expression = _on_diagonal(name, len(op.out.dims), term)
        w.call(f"{view}.add_(", [expression], ")")


def _source(product: Product) -> str:
    """The input of a type with its dimensions as the target has them."""
    places = [k + 1 for k in product.order]
    moved = "" if places == sorted(places) else f".permute({', '.join(map(str, (0, *places, -1)))})"
    return product.source + moved


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


def _zeros(op: Sum) -> str:
    pieces = [*(p.slice for p in op.parts), *(d.slice for d in op.diagonals)]
    source = pieces[0].source
    sizes = ", ".join(map(str, (*(d.size for d in op.out.dims), "n")))
    return f"{source}.new_zeros({source}.shape[0], {sizes})"


def _part(part: Part) -> str:
    """A part with one dimension for each axis in `onto`, of size 1 where it does not vary."""
    expression, groups = _slice(part.slice), part.slice.groups
    places = [groups.index(group) + 1 for group in sorted(groups)]
    if places != sorted(places):
        expression += f".permute({', '.join(map(str, (0, *places, -1)))})"
    if part.inner:
        expression = f"({' + '.join([expression, *map(_part, part.inner)])})"
    return expression + _indexing([":" if group in groups else "None" for group in part.onto])


def _indexing(places: list[str]) -> str:
    """`[:, None, :]` without what stands at the end for itself; empty if nothing is inserted."""
    while places and places[-1] == ":":
        places = places[:-1]
    return f"[{', '.join([':', *places])}]" if places else ""


def _on_diagonal(name: str, count: int, term: OnDiagonal) -> tuple[str, str]:
    """The diagonal that a term lives on, and the term with the dimensions of that view.

    A view's dimensions are the batch, the other axes, the channels and then the diagonals.
    """
    view = name
    axes = list(range(count))
    moved: list[int] = []
    for group in term.groups:
        head = group[0]
        for k in group[1:]:
            places = [*axes, None, *moved]
            view += f".diagonal(0, {places.index(head) + 1}, {places.index(k) + 1})"
            axes = [j for j in axes if j not in (head, k)]
            moved = [j for j in moved if j != head] + [head]
    groups: tuple[Group, ...] = term.slice.groups
    place = {group[0]: k + 1 for k, group in enumerate(groups)}
    channels = len(place) + 1
    order = [place[k] for k in axes if k in place] + [channels] + [place[k] for k in moved if k in place]
    expression = _slice(term.slice)
    if order != sorted(order):
        expression += f".permute({', '.join(map(str, (0, *order)))})"
    slots = [":" if k in place else "None" for k in axes] + [":"]
    slots += [":" if k in place else "None" for k in moved]
    return view, expression + _indexing(slots)
