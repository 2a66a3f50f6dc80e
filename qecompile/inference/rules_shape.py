"""Rules of operators that move axes: views, transpositions, slices, concatenations.

Each takes the flow, the node and its arguments, and gives the axes of the result. A view matches factors:
an axis of the result takes atoms of the source, outermost first, and splits one where its size says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.fx import Node

from qecompile.inference.atoms import Dim
from qecompile.inference.values import Flow, NotUnderstood, Value, shape_of, shapes_of

Rule = Callable[..., Any]


def view(flow: Flow, node: Node, x: Node, *_: object) -> Value:
    """A view in row-major order."""
    atoms, shape = flow.atoms, shape_of(node)
    source = flow.of(x)
    if shape == shape_of(x):
        return source
    queue = [a for dim in source for a in atoms.leaves(dim)]
    result = list[Dim]()
    for n in shape:
        taken = list[int]()
        while atoms.size(tuple(taken)) < n:
            need = n // atoms.size(tuple(taken))
            atom = queue.pop(0)
            size = atoms.all[atom].size
            if size <= need and need % size == 0:
                taken.append(atom)
                continue
            if size % need:
                return _opaque(flow, source, shape)
            queue[:0] = _halve(flow, atom, need)
            if queue[0] == atom:
                return _opaque(flow, source, shape)
        if n == 1 and queue and atoms.all[queue[0]].size == 1:
            taken.append(queue.pop(0))
        result.append(tuple(taken))
    return tuple(result)


def _halve(flow: Flow, atom: int, outer: int) -> tuple[int, ...]:
    """An atom as a product: of the number of a part and the part, where it is a sum of equal parts."""
    atoms, found = flow.atoms, flow.atoms.all[atom]
    inner = found.size // outer
    if found.parts is not None and [atoms.size(p) for p in found.parts] == [inner] * outer:
        by = atoms.new(outer, "it numbers parts")
        return (by, *atoms.dependent(by, found.parts))
    if found.chosen is not None:
        by, parts = found.chosen
        halves = list[tuple[Dim, Dim]]()
        for part in parts:
            leaves = atoms.leaves(part)
            if len(leaves) == 1 and atoms.all[leaves[0]].parts is None:
                atoms.split(leaves[0], (outer, inner))
                leaves = atoms.leaves(part)
            if atoms.all[leaves[0]].size != outer:
                atoms.settle((atom,))
                return atoms.leaves((atom,))
            halves.append((leaves[:1], leaves[1:]))
        first, second = (atoms.dependent(by, tuple(h[k] for h in halves)) for k in (0, 1))
        found.chosen, found.factors = None, (*first, *second)
        return found.factors
    return atoms.leaves((atom,)) if atoms.split(atom, (outer, inner)) else (atom,)


def _opaque(flow: Flow, source: Value, shape: tuple[int, ...]) -> Value:
    for dim in source:
        flow.atoms.fix(dim, "a view that does not divide its axes")
    return flow.fresh(shape, "a view that does not divide its axes")


def transpose(flow: Flow, node: Node, x: Node, i: int, j: int) -> Value:
    """Two axes exchanged."""
    dims = list(flow.of(x))
    dims[i], dims[j] = dims[j], dims[i]
    return tuple(dims)


def same(flow: Flow, node: Node, x: Node, *_: object, **__: object) -> Value:
    """The same numbers."""
    return flow.of(x)


def transpose_2d(flow: Flow, node: Node, x: Node) -> Value:
    """All axes in the other order."""
    return flow.of(x)[::-1]


def permute(flow: Flow, node: Node, x: Node, order: list[int]) -> Value:
    """The axes in another order."""
    return tuple(flow.of(x)[k] for k in order)


def movedim(flow: Flow, node: Node, x: Node, source: Any, target: Any) -> Value:
    """Some axes moved, the others behind one another."""
    given = flow.of(x)
    n = len(given)
    froms = [k % n for k in ([source] if isinstance(source, int) else source)]
    to = [k % n for k in ([target] if isinstance(target, int) else target)]
    rest = iter(k for k in range(n) if k not in froms)
    return tuple(given[froms[to.index(k)] if k in to else next(rest)] for k in range(n))


def unsqueeze(flow: Flow, node: Node, x: Node, k: int) -> Value:
    """A new axis of size 1."""
    dims = list(flow.of(x))
    dims.insert(k % (len(dims) + 1), ())
    return tuple(dims)


def squeeze(flow: Flow, node: Node, x: Node, at: Any = None) -> Value:
    """Without axes of size 1."""
    dims, shape = flow.of(x), shape_of(x)
    places = range(len(dims)) if at is None else [at] if isinstance(at, int) else at
    gone = {k % len(dims) for k in places if shape[k] == 1}
    return tuple(d for k, d in enumerate(dims) if k not in gone)


def expand(flow: Flow, node: Node, x: Node, *_: object, **__: object) -> Value:
    """Copies along an axis are alike: any order of them will do."""
    shape, given = shape_of(node), flow.of(x)
    dims = [() for _ in range(len(shape) - len(given))] + list(given)
    wide = [n > 1 and flow.atoms.size(d) == 1 for n, d in zip(shape, dims, strict=True)]
    return tuple(flow.atoms.dim(n) if w else d for n, d, w in zip(shape, dims, wide, strict=True))


def select(flow: Flow, node: Node, x: Node, k: int, at: int) -> Value:
    """One position of an axis."""
    dims, atoms = list(flow.of(x)), flow.atoms
    k %= len(dims)
    leaves = atoms.leaves(dims.pop(k))
    if len(leaves) == 1:
        chosen = atoms.choose(leaves[0], at)
        if chosen:
            return tuple(
                tuple(b for a in atoms.leaves(d) for b in (chosen[a] if a in chosen else (a,))) for d in dims
            )
        flow.selected.append(leaves[0])
    atoms.fix(leaves)
    return tuple(dims)


def unbind(flow: Flow, node: Node, x: Node, k: int = 0) -> Any:
    """Every position of an axis."""
    n = shape_of(x)[k]
    return tuple(select(flow, node, x, k, at) for at in range(n))


def piece(
    flow: Flow, node: Node, x: Node, k: int = 0, start: Any = None, stop: Any = None, step: int = 1
) -> Value:
    """A slice."""
    dims = list(flow.settled(x))
    n = flow.atoms.size(dims[k])
    if step != 1:
        flow.atoms.fix(dims[k])
        dims[k] = flow.atoms.dim(shape_of(node)[k], flow.atoms.now)
        return tuple(dims)
    i, j, _ = slice(start, stop).indices(n)
    dims[k] = flow.atoms.cut(dims[k], i, j)
    return tuple(dims)


def split(flow: Flow, node: Node, x: Node, _: object, k: int = 0) -> Any:
    """Slices of an axis, one behind the other: `split`, `chunk`."""
    given, found, start = flow.settled(x), list[Value](), 0
    k %= len(given)
    for shape in shapes_of(node):
        dims = list(given)
        dims[k] = flow.atoms.cut(given[k], start, start + shape[k])
        start += shape[k]
        found.append(tuple(dims))
    return tuple(found)


def item(flow: Flow, node: Node, x: Node, k: int) -> Any:
    """One of several results."""
    if not isinstance(k, int):
        raise NotUnderstood
    return flow.values[x][k]


def cat(flow: Flow, node: Node, given: list[Node], k: int = 0) -> Value:
    """Axes one behind the other."""
    values = [flow.settled(x) for x in given]
    k %= len(values[0])
    rest = flow.meet([(*v[:k], (), *v[k + 1 :]) for v in values])
    return (*rest[:k], flow.atoms.sum([v[k] for v in values]), *rest[k + 1 :])


def stack(flow: Flow, node: Node, given: list[Node], k: int = 0) -> Value:
    """A new axis, whose positions are told apart."""
    dims = list(flow.meet([flow.settled(x) for x in given]))
    dims.insert(k % (len(dims) + 1), flow.atoms.dim(len(given), "what is stacked there"))
    return tuple(dims)


SHAPES: dict[str, Rule] = {
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "flatten", "unflatten"), view),
    **dict.fromkeys(("transpose", "swapaxes"), transpose),
    **dict.fromkeys(("t", "numpy_T", "adjoint", "mT"), transpose_2d),
    **dict.fromkeys(("movedim", "moveaxis"), movedim),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), expand),
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split"), split),
    **dict.fromkeys(("cat", "concat", "concatenate"), cat),
    **dict.fromkeys(("contiguous", "clone", "to", "_to_copy", "detach", "alias"), same),
    "permute": permute,
    "unsqueeze": unsqueeze,
    "squeeze": squeeze,
    "select": select,
    "unbind": unbind,
    "slice": piece,
    "getitem": item,
    "stack": stack,
}
