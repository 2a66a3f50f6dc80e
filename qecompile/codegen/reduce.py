"""The reduce stage: every source tensor to the inputs of every intermediate type.

Reductions are shared: the diagonal or trace of a tensor is taken once, codes are applied once, and a
mean over more axes starts from a mean over fewer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qecompile.codegen.writer import LETTERS, Variables, Writer, times_c
from qecompile.identifiers import Names
from qecompile.plan.nodes import Epsilon, Plan, PlanType, Side

Dim = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor in the emitted code and what its dimensions are, between batch and channels.

    A dimension is ("axes", positions), ("code", (position,)) or ("type", (axis,)).
    """

    name: str
    dims: tuple[Dim, ...]


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


def write_reduce(w: Writer, name: str, plan: Plan, variables: Variables) -> None:
    """The function that computes the input of every type of the plan."""
    arguments = ["x: dict[str, Tensor]", *(f"{c}: Tensor" for c in reduce_constants(plan, variables))]
    w.line()
    w.line()
    w.call(f"def {name}(", arguments, ") -> tuple[Tensor, ...]:")
    with w.indent():
        w.line('"""What each intermediate type reads: means, traces and diagonals of every tensor."""')
        reducer = _Reducer(w, plan, variables)
        inputs: dict[tuple[str, Side], str] = {}
        by_param: dict[str, list[tuple[PlanType, Side]]] = {}
        for t in plan.types:
            for row in t.rows:
                by_param.setdefault(row.param, []).append((t, row))
        for p in (p for p in variables.spec.parameters if p.name in by_param):
            reducer.load(p.name)
            for t, row in sorted(by_param[p.name], key=lambda item: len(item[1].pooled)):
                inputs[t.name, row] = reducer.row(row)
        w.line()
        for t in plan.types:
            if t.rows:
                axes = ", ".join(["B", *(variables.short[a.space] for a in t.axes), times_c(t.height, "C")])
                write_input(w, f"x_{t.name}", [inputs[t.name, row] for row in t.rows], f"[{axes}]")
        names = [f"x_{t.name}" for t in plan.types if t.rows]
        bare = "return " + ", ".join(names) + ("," if len(names) == 1 else "")
        if w.fits(bare):
            w.line(bare)
        else:
            w.filled("return (", names, ")")


def write_input(w: Writer, name: str, parts: list[str], comment: str) -> None:
    """One tensor from its parts, side by side in the channels."""
    if len(parts) == 1:
        w.commented(f"{name} = {parts[0]}", comment)
    else:
        w.call(f"{name} = torch.cat((", parts, "), dim=-1)", comment)


class _Reducer:
    """Writes the reductions of one function, each once."""

    def __init__(self, w: Writer, plan: Plan, variables: Variables) -> None:
        self._w, self._variables = w, variables
        self._names = Names(
            ("x", "n", "torch", *(f"x_{t.name}" for t in plan.types), *reduce_constants(plan, variables))
        )
        self._known: dict[tuple[object, ...], Value] = {}

    def load(self, param: str) -> None:
        """Fetch the tensor of a parameter."""
        p = self._variables.spec.params[param]
        name = self._names.fresh(self._variables.of[param])
        self._w.line(f'{name} = x["{param}"]  # {self._variables.shape(p)}')
        self._known[param,] = Value(name, tuple(("axes", (k,)) for k in range(len(p.axes))))

    def row(self, row: Side) -> str:
        """The expression for one row: [B, axes of the type, multiplicities times channels]."""
        value = self._pool(self._encode(self._contract(row), row), row)
        wanted: list[Dim] = [
            ("axes", group) if group else ("type", (k,)) for k, group in enumerate(row.through)
        ]
        wanted += [("code" if s.coded else "axes", s.axes) for s in row.spread]
        expression = value.name
        places = [value.dims.index(dim) + 1 for dim in wanted]
        if places != sorted(places):
            expression += f".permute({', '.join(map(str, (0, *places, -1)))})"
        return expression + (f".flatten({-1 - len(row.spread)})" if row.spread else "")

    def _contract(self, row: Side) -> Value:
        """Diagonals, traces and Levi-Civita tensors, in one einsum."""
        groups = (*row.through, *row.pooled, *(s.axes for s in row.spread))
        diagonals = tuple(sorted(g for g in groups if len(g) > 1))
        base = self._known[row.param,]
        if not (diagonals or row.pairs or row.epsilons):
            return base
        key = (row.param, diagonals, row.pairs, row.epsilons)
        if key in self._known:
            return self._known[key]
        letters = list(LETTERS[: len(base.dims)])
        for group in (*diagonals, *row.pairs):
            for k in group:
                letters[k] = letters[group[0]]
        gone = {k for pair in row.pairs for k in pair} | {k for e in row.epsilons for k in e.axes}
        dims = [("axes", g) for g in sorted(g for g in groups if g and not gone & set(g))]
        out = "".join(letters[dim[1][0]] for dim in dims)
        operands, terms = [base.name], [f"b{''.join(letters)}c"]
        spare = LETTERS[len(base.dims) :]
        for e in row.epsilons:
            fresh, spare = spare[: len(e.type_axes)], spare[len(e.type_axes) :]
            operands.append(f"epsilon_{epsilon_size(e)}")
            terms.append(fresh + "".join(letters[k] for k in e.axes))
            out += fresh
            dims += [("type", (k,)) for k in e.type_axes]
        sizes = self._variables.spec.params[row.param].shape
        divisor = 1
        for pair in row.pairs:
            divisor *= sizes[pair[0]]
        call = f'torch.einsum("{",".join(terms)}->b{out}c", {", ".join(operands)})'
        return self._define(key, row, tuple(dims), call + (f" / {divisor}" if divisor > 1 else ""))

    def _encode(self, value: Value, row: Side) -> Value:
        """Pool coded axes against their codes."""
        for spread in row.spread:
            if spread.coded:
                k = value.dims.index(("axes", spread.axes))
                key = (row.param, value.name, "code", spread.axes)
                if key not in self._known:
                    letters = LETTERS[: len(value.dims)]
                    out = letters[:k] + "z" + letters[k + 1 :]
                    space = self._variables.spec.params[row.param].axes[spread.axes[0]].space
                    size = self._variables.spec.space[space].size
                    code = f"encode_{self._variables.short[space]}"
                    call = (
                        f'torch.einsum("b{letters}c,{letters[k]}z->b{out}c", {value.name}, {code}) / {size}'
                    )
                    dims = (*value.dims[:k], ("code", spread.axes), *value.dims[k + 1 :])
                    self._define(key, row, dims, call)
                value = self._known[key]
        return value

    def _pool(self, value: Value, row: Side) -> Value:
        """The mean over the pooled blocks, from the smallest mean that is already there."""
        wanted = frozenset(row.pooled)
        if not wanted:
            return value
        key = (value.name, "mean", wanted)
        if key not in self._known:
            start, done = value, frozenset[tuple[int, ...]]()
            for other, known in self._known.items():
                if other[:2] == (value.name, "mean") and done < other[2] < wanted:  # type: ignore[operator]
                    start, done = known, other[2]  # type: ignore[assignment]
            places = [start.dims.index(("axes", g)) + 1 for g in sorted(wanted - done)]
            dims = tuple(d for k, d in enumerate(start.dims) if k + 1 not in places)
            over = str(places[0]) if len(places) == 1 else str(tuple(places))
            self._define(key, row, dims, f"{start.name}.mean({over})")
        return self._known[key]

    def _define(self, key: tuple[object, ...], row: Side, dims: tuple[Dim, ...], call: str) -> Value:
        spaces = self._variables.spec.params[row.param].axes
        kept = [self._variables.short[spaces[d[1][0]].space] for d in dims if d[0] != "type"]
        owner = self._variables.of[row.param]
        name = self._names.fresh(f"{owner}_by_{'_'.join(kept)}" if kept else f"{owner}_mean")
        self._w.line(f"{name} = {call}")
        self._known[key] = Value(name, dims)
        return self._known[key]
