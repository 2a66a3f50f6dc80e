"""Where moving channels apart and mixing them gives nothing that the group does not give.

Takes a spec, the plans of a layer and of a covariant alpha-map; gives the factors for which that is so.

*Statement.* Let all channels of a tensor be multiples of one tensor T (it is the only one that an
equivariant linear map sends to its type, and nothing bends it pointwise), or let it have one entry for every
index value that alpha distinguishes. Alpha multiplies entry J of channel c by prod_f s_{f,c}^e_{f,J}; a
mixture of the channels is then T with multipliers m_J, any numbers that are equal where the exponents e_J
are. It lies in the orbit of T iff log m = E x has a solution, where row J of E lists the exponents of the
scalings of the group, those that alpha leaves alone included: E must have the rank of E beside the indicators
of the classes of equal exponents. Exponents depend on indices only through which of them are equal, so two
values per index are enough. Where the layer has weights of their own for each value of an index, m may depend
on it too; where alpha has one constant for a whole permuted space, it does not tell the values apart.

A tensor with one axis on a plane that is rotated is one of complex numbers: the maps to its type are complex
multiples, alpha multiplies by complex numbers, and so m is complex. Its modulus is what scalings must give;
its argument, in the same way, turns.

Which scalings count depends on the readout. An invariant one sees several mixtures at once, so only those
that the gauge removes from each channel by itself; a network of output weights is one mixture, so all of
them, the scalar matrices of GL(n) included, and there it is enough that the orbit is open: it contains every
mixture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from types import MappingProxyType

from flint import fmpz_mat

from qecompile.activations import choose_activation
from qecompile.orbit import orbit_dim
from qecompile.plan.alpha import AlphaPlan
from qecompile.plan.factors import Factor, continuous_factors
from qecompile.plan.invariants import InvariantPlan
from qecompile.plan.nodes import Plan
from qecompile.spec import MetaNet, Param, Spec

Exponents = Mapping[tuple[str, tuple[int, ...]], int]
"""For a factor, by label, and one of its copies: the power to which it multiplies an entry."""


def idle_factors(
    spec: Spec, net: MetaNet, layer: Plan, inv: InvariantPlan, alpha: AlphaPlan
) -> frozenset[str]:
    """The factors, by label, with which a covariant alpha moves no mixture of channels out of its orbit.

    Only the parameters that a readout reads count.
    """
    read = frozenset(spec.params)
    removed = continuous_factors(spec)
    if net.outputs:
        read = frozenset(row.param for t in inv.read for row in t.rows)
        gauge = {(step.space, step.character) for step in inv.gauge}
        removed = tuple(f for f in removed if (f.space, f.character) in gauge)
    constant = frozenset(m.factor.label for m in alpha.maps if m.features is None)
    found: set[str] = set()
    for names in _components(spec, read):
        params = tuple(p for p in spec.parameters if p.name in names)
        mine = tuple(f for f in alpha.factors if names & {m.param for m in f.moves})
        is_one = mine and not net.outputs and _is_one_orbit(spec, params)
        if is_one or (mine and _is_only_scaled(spec, net, layer, mine, removed, params, constant)):
            found |= {f.label for f in mine}
    return frozenset(found)


def _components(spec: Spec, read: frozenset[str]) -> Iterator[frozenset[str]]:
    """The parameters, by name, tied together by continuous factors that act on several."""
    left = {p.name for p in spec.parameters} & read
    moved = [read & {m.param for m in f.moves} for f in continuous_factors(spec)]
    while left:
        found = {min(left)}
        while more := {name for group in moved if group & found for name in group} - found:
            found |= more
        left -= found
        yield frozenset(found)


def _is_one_orbit(spec: Spec, params: tuple[Param, ...]) -> bool:
    """Whether generic values of some parameters form an open orbit."""
    part = Spec(name=spec.name, spaces=spec.spaces, parameters=params)
    try:
        return orbit_dim(part) == sum(prod(p.shape) for p in params)
    except ValueError:  # too much to compute, and then far from open
        return False


def _is_only_scaled(
    spec: Spec,
    net: MetaNet,
    layer: Plan,
    moving: tuple[Factor, ...],
    removed: tuple[Factor, ...],
    params: tuple[Param, ...],
    constant: frozenset[str],
) -> bool:
    """Whether alpha multiplies entries only, by what the `removed` factors can undo; see the statement.

    Factors whose label is in `constant` do not vary along permuted spaces.
    """
    one = {s.name for s in spec.spaces if s.permuted}
    permuted = {f.label: one if f.label in constant else set[str]() for f in moving}
    if any(f.is_matrix and f.size > 1 and not f.is_turn for f in moving):
        return False
    rows: list[Exponents] = []
    turns: list[Exponents] = []
    classes: dict[object, list[int]] = {}
    complex_classes: dict[object, list[int]] = {}
    for p in params:
        planes = sum(spec.space[a.space].vector == "rotate" and spec.space[a.space].size == 2 for a in p.axes)
        before, places = len(classes), 0
        count, own = _directions(spec, net, layer, p)
        for place in _places(spec, p):
            multiplied = _exponents(p, place, moving, permuted), _turns(p, place, moving, permuted)
            if any(multiplied):
                mine = tuple(place[k] for k in own)
                kind = (p.name, mine, *(frozenset(found.items()) for found in multiplied))
                classes.setdefault(kind, []).append(len(rows))
                if planes:
                    complex_classes[kind] = classes[kind]
                places += 1
            rows.append(_exponents(p, place, removed))
            turns.append(_turns(p, place, removed))
        alone = len(classes) - before == places == len(list(_places(spec, p)))
        entries = prod(spec.space[a.space].size for a in p.axes if spec.space[a.space].is_vector)
        if places and planes > 1:
            return False
        if places and not (alone and entries == 1 + planes) and count != 1 + planes:
            return False
    return _solves(rows, classes) and _solves(turns, complex_classes)


def _places(spec: Spec, p: Param) -> Iterator[tuple[int, ...]]:
    """Two values (one, for a space of size 1) of every index of a parameter; vector axes count once."""
    sizes = [1 if spec.space[a.space].is_vector else min(2, spec.space[a.space].size) for a in p.axes]
    return product(*map(range, sizes))


def _exponents(
    p: Param,
    place: tuple[int, ...],
    factors: tuple[Factor, ...],
    permuted: Mapping[str, set[str]] = MappingProxyType({}),
) -> Exponents:
    """To which power each copy of each factor multiplies the entry of a parameter at some indices.

    Matrices count with their scalar multiples: those of `linear`, to the power 1, or -1 on a dual axis.
    `permuted` are spaces, by label, along which a factor does not vary.
    """
    found: dict[tuple[str, tuple[int, ...]], int] = {}
    for f in factors:
        for m in (m for m in f.moves if m.param == p.name):
            copy = _copy(p, place, f, m.along, permuted)
            power = m.charge
            if f.is_matrix:
                power = 0 if f.word != "linear" else -1 if m.contra else 1
            found[copy] = found.get(copy, 0) + power
    return {copy: power for copy, power in found.items() if power}


def _turns(
    p: Param,
    place: tuple[int, ...],
    factors: tuple[Factor, ...],
    permuted: Mapping[str, set[str]] = MappingProxyType({}),
) -> Exponents:
    """Which copies of which turns of a plane act on the entry of a parameter at some indices."""
    moves = ((f, m) for f in factors if f.is_turn for m in f.moves if m.param == p.name)
    return {_copy(p, place, f, m.along, permuted): 1 for f, m in moves}


def _copy(
    p: Param,
    place: tuple[int, ...],
    f: Factor,
    along: tuple[int, ...],
    permuted: Mapping[str, set[str]],
) -> tuple[str, tuple[int, ...]]:
    """The copy of a factor that acts at some indices of a parameter."""
    still = permuted.get(f.label, set())
    return f.label, tuple(-1 if p.axes[k].space in still else place[k] for k in along)


def _directions(spec: Spec, net: MetaNet, layer: Plan, p: Param) -> tuple[int, tuple[int, ...]]:
    """How many tensors all channels of a parameter's features are combinations of; 0 if of others too.

    Beside it the axes that have coefficients for each of their values.
    """
    sides = [(t, c) for t in layer.types for c in t.columns if c.param == p.name]
    count = sum(t.height * c.multiplicity for t, c in sides)
    own = {k for t, c in sides for n in t.own for k in c.through[n]}
    function = choose_activation(spec, p, net.activation)
    return count if function is None or function.name == "identity" else 0, tuple(sorted(own))


def _solves(rows: list[Exponents], classes: Mapping[object, list[int]]) -> bool:
    """Whether log m = E x has a solution for all m that are equal on each class, and 0 outside of all."""
    columns = {copy: k for k, copy in enumerate(dict.fromkeys(copy for row in rows for copy in row))}
    if not columns:
        return not classes
    matrix = [[row.get(copy, 0) for copy in columns] for row in rows]
    indicators = [[int(k in members) for members in classes.values()] for k in range(len(rows))]
    wide = [[*a, *b] for a, b in zip(matrix, indicators, strict=True)]
    return bool(fmpz_mat(matrix).rank() == fmpz_mat(wide).rank())
