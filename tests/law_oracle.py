"""What a type says, in numbers: rho_T(g) v, and whether a value has the symmetries that its type states.

Nothing here is shared with the rules. The formula is that of `qecompile.groups`,
(g x)[J] = w_g(J) x[sigma_g(J)], and matrices along vector axes, read off the atoms of a type.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import prod

import torch
from torch import Tensor

from qecompile.group_elements import Element
from qecompile.nesting import ancestors
from qecompile.spec import Spec
from qecompile.verify.atoms import At, Atom, Charge, Owner
from qecompile.verify.types import Type


class Law:
    """The representation that a type names, for one group element per entry of the batch."""

    def __init__(self, spec: Spec, elements: list[Element], t: Type) -> None:
        self.spec, self.t = spec, t
        self.atoms = [*t.atoms.values()]
        sizes = [a.size for a in self.atoms]
        grids = torch.meshgrid(*[torch.arange(n) for n in sizes], indexing="ij") if sizes else []
        self.at = {a.id: grid for a, grid in zip(self.atoms, grids, strict=True)}
        self.shape = tuple(sizes)
        self.source = {s.name: self.stack(elements, s.name, "source") for s in spec.spaces}
        self.matrix = {s.name: self.stack(elements, s.name, "matrix") for s in spec.spaces}
        self.character = {
            (s.name, c.name): torch.stack([e.parts[s.name].characters[k] for e in elements])
            for s in spec.spaces
            for k, c in enumerate(s.characters)
        }

    @staticmethod
    def stack(elements: list[Element], space: str, field: str) -> Tensor | None:
        found = [getattr(e.parts[space], field) for e in elements]
        return None if found[0] is None else torch.stack(found)

    def lineage(self, owner: Owner) -> list[Tensor]:
        """Coordinates of a copy: the entry of the batch, then the index values, outermost first."""
        if isinstance(owner, At):
            return [*self.lineage(owner.owner), torch.full(self.shape, owner.place)]
        assert owner is not None
        atom = self.t.atoms[owner]
        here = self.at[owner]
        if atom.places is not None:
            here = torch.tensor(atom.places)[here]
        return [here] if atom.kind == "batch" else [*self.lineage(atom.owner), here]

    def act(self, value: Tensor) -> Tensor:
        """rho_T(g) v."""
        x = value.reshape(self.shape)
        if self.shape:
            x = x[tuple(self.moved(a) for a in self.atoms)]
        for charge in self.t.charges:
            if charge.character.word != "raw":
                x = x * self.factor(charge)
        for k, atom in enumerate(self.atoms):
            if atom.kind == "vector":
                x = self.turn(x, k, atom)
        return x.reshape(value.shape)

    def moved(self, atom: Atom) -> Tensor:
        """From which index value along an atom an entry comes."""
        if atom.kind != "index":
            return self.at[atom.id]
        if atom.parts:
            return self.moved_in_parts(atom)
        source = self.source[atom.space]
        assert source is not None
        return source[(*self.lineage(atom.owner), self.at[atom.id])]

    def moved_in_parts(self, joint: Atom) -> Tensor:
        """The same along a joint axis: entries stay in their part, which is a product of axes."""
        here, start = self.at[joint.id], 0
        found = here.clone()
        for part in joint.parts:
            sizes = [a.size for a in part]
            size = prod(sizes)
            values = torch.unravel_index((here - start).clamp(0, size - 1), sizes) if part else ()

            def lineage(owner: Owner, values=values, part=part) -> list[Tensor]:  # type: ignore[no-untyped-def]
                if owner is None:
                    return self.lineage(joint.owner)
                if isinstance(owner, At):
                    return [*lineage(owner.owner), torch.full(self.shape, owner.place)]
                place = values[owner]
                if part[owner].places is not None:
                    place = torch.tensor(part[owner].places)[place]
                return [*lineage(part[owner].owner), place]

            flat = torch.zeros_like(here)
            for a, value in zip(part, values, strict=True):
                source = self.source[a.space] if a.kind == "index" else None
                come = value if source is None else source[(*lineage(a.owner), value)]
                flat = flat * a.size + come
            found = torch.where((here >= start) & (here < start + size), start + flat, found)
            start += size
        return found

    def factor(self, charge: Charge) -> Tensor:
        space = charge.character.space
        (subject,) = charge.subject
        table = self.character[space, charge.character.name]
        found = table[tuple(self.lineage(subject))]
        assert table.dim() == len(self.lineage(subject)), (charge, table.shape, ancestors(self.spec, space))
        return found ** float(charge.power)

    def without_raw(self, value: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:
        """v divided by the raw numbers that have multiplied it."""
        x = value.reshape(self.shape)
        for charge in self.t.charges:
            if charge.character.word == "raw":
                at = [self.place(s) for s in charge.subject]
                x = x / numbers[charge.character.name].squeeze()[tuple(at)] ** float(charge.power)
        return x.reshape(value.shape)

    def place(self, owner: Owner) -> Tensor:
        """Where an index stands on its own axis."""
        if isinstance(owner, At):
            return torch.full(self.shape, owner.place)
        places = self.t.atoms[owner].places
        return self.at[owner] if places is None else torch.tensor(places)[self.at[owner]]

    def turn(self, x: Tensor, k: int, atom: Atom) -> Tensor:
        matrix = self.matrix[atom.space]
        assert matrix is not None
        if atom.dual:
            matrix = torch.linalg.inv(matrix).mT
        copies = [c.movedim(k, -1)[..., 0] for c in self.lineage(atom.owner)]
        rows = matrix[tuple(copies)]
        return torch.einsum("...jk,...k->...j", rows, x.movedim(k, -1)).movedim(-1, k)


def broken_fact(t: Type, value: Tensor) -> str:
    """Which statement of a type beyond its law is not true of a value; empty if all are."""
    x = value.reshape(tuple(a.size for a in t.atoms.values()))
    order = [*t.atoms]
    if t.zero and bool(x.any()):
        return "zero"
    for k, atom in enumerate(t.atoms.values()):
        start = 0
        for part in atom.parts:
            size = prod(a.size for a in part)
            slab = x.narrow(k, start, size)
            if [a.kind for a in part] == ["equal"] and not close(slab, slab.narrow(k, 0, 1).expand_as(slab)):
                return f"constant along {start} to {start + size} of {atom.name}"
            start += size
    for link in t.links:
        for a, b in combinations(sorted(link), 2):
            one, other = order.index(a), order.index(b)
            off = ~torch.eye(x.shape[one], dtype=torch.bool)
            if bool(x.movedim((one, other), (-2, -1))[..., off].any()):
                return f"link {link}"
    for group in {a.group for a in t.atoms.values() if a.kind == "equal"}:
        dims = [order.index(a.id) for a in t.atoms.values() if a.kind == "equal" and a.group == group]
        moved = x
        for d in dims:
            moved = moved.roll(1, d)
        if not close(moved, x):
            return f"equal along {dims}"
    for group in {a.group for a in t.atoms.values() if a.kind == "epsilon"}:
        dims = [order.index(a.id) for a in t.atoms.values() if a.kind == "epsilon" and a.group == group]
        if not close(x.transpose(dims[0], dims[1]), -x):
            return f"epsilon along {dims}"
    return ""


def close(one: Tensor, other: Tensor, tolerance: float = 1e-7) -> bool:
    """Equality up to rounding, relative to the largest entry."""
    one, other = one.double(), other.double()
    size = max(float(one.abs().max()) if one.numel() else 0.0, 1e-6)
    return bool(((one - other).abs() <= tolerance * size).all())
