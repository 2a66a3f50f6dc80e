"""Types of traced values: how a tensor changes when the group acts on the weights it was computed from.

Takes specs and shapes, gives types. Does not know operations.

*What a type says.* Let v be a tensor computed from parameters theta, and let every entry b of the batch be
acted on by a group element g_b of its own. A type T names, for each dimension of v, the *atoms* it is a
row-major product of, and charges; together they fix a representation rho_T, and T holds of v if

    v(g . theta) = rho_T(g) v(theta)    for all g and theta.

By kind of atom, rho_T(g) acts on v
    batch    by reading g: entry b is moved by g_b;
    free     not at all: channels, axes of fixed spaces, dimensions of weights;
    index    by the permutation of an index space, that of the copy named by the atom's owner;
    vector   by the matrix of a vector space (its inverse transpose if `dual`), that of the owner's copy;
and at each entry by the product of character ** power over `charges`, each read at its subject. Four kinds
say more than a law, and serve where a law is asked for:
    equal    v does not change if the index is permuted in all atoms of one group at once; alone in its group
             it is *uniform*: v is constant along it. All-ones tensors, identity matrices, masks;
    epsilon  along the n atoms of the group, v is a multiple of the Levi-Civita tensor;
    turn     along the two atoms of the group, of size 2, v is a I + b J, with J a quarter turn;
    pair     v is the diagonal of a value with two dual vector atoms of the same copy: it may be summed.
`links` say that v is 0 unless linked atoms have the same index (diag_embed); `zero`, that v is 0: then every
law holds. A `Guard` says that v's law holds only where a condition is true or false.

An owner or subject is an atom (by its number) or `At(k, owner)`, the k-th value of an index that is gone: a
place picked from a fixed axis, or the only value of a space of size 1, which the group cannot move. The owner
of a root axis is the batch. Numbers of atoms mean something inside one type only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from qecompile.verify.atoms import At, Atom, Charge, Dims, Guard, Owner, show_charge


@dataclass(frozen=True)
class Type:
    """The type of one tensor; built by `make`, which brings it into its canonical form."""

    dims: Dims
    charges: tuple[Charge, ...] = ()
    links: tuple[frozenset[int], ...] = ()
    guards: tuple[Guard, ...] = ()
    zero: bool = False

    @cached_property
    def atoms(self) -> Mapping[int, Atom]:
        """The atoms by number, in order."""
        return {atom.id: atom for dim in self.dims for atom in dim}

    @cached_property
    def anchored(self) -> frozenset[int]:
        """The atoms that something refers to."""
        return frozenset(a for a in self.atoms if any(self.dependents(a)))

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the dimensions."""
        return tuple(prod(atom.size for atom in dim) for dim in self.dims)

    def group(self, atom: Atom) -> tuple[Atom, ...]:
        """The atoms that are equal, or epsilon, together with this one."""
        return tuple(a for a in self.atoms.values() if a.group == atom.group and a.kind == atom.kind)

    def is_uniform(self, atom: Atom) -> bool:
        """Whether the value is constant along the atom."""
        return atom.kind == "equal" and len(self.group(atom)) == 1

    def depends(self, owner: Owner, atom: int) -> bool:
        """Whether a reference leads to this atom, directly or through owners."""
        match owner:
            case None:
                return False
            case At(owner=above):
                return self.depends(above, atom)
            case found:
                above = self.atoms[found].owner if found in self.atoms else None
                return found == atom or self.depends(above, atom)

    def dependents(self, atom: int) -> Iterator[str]:
        """What refers to an atom, in words: charges, atoms that it owns, guards."""
        for charge in self.charges:
            if any(self.depends(s, atom) for s in charge.subject):
                yield show_charge(charge)
        for other in self.atoms.values():
            if other.id != atom and self.depends(other.owner, atom):
                yield f"axis {other.name}"
            if any(self.depends(s, atom) for f in other.frame for s in f.along):
                yield f"the frame of {other.name}"
        for guard in self.guards:
            if any(self.depends(s, atom) for s in guard.along):
                yield "the condition of a `where`"

    def linked(self, atom: int) -> frozenset[int]:
        """The atoms that an atom is linked to, itself included."""
        return next((link for link in self.links if atom in link), frozenset((atom,)))

    @property
    def is_invariant(self) -> bool:
        """Whether nothing acts on the value at all."""
        still = all(a.kind in ("batch", "free") or self.is_uniform(a) for a in self.atoms.values())
        return self.zero or (still and not self.charges and not self.guards)

    def __str__(self) -> str:
        return show(self)


# --- printing -------------------------------------------------------------------------------------------


def show(t: Type) -> str:
    """A type in one line: `[batch, a1^{scale: 1}, free 16]`."""
    if t.zero:
        return f"[zero {' x '.join(map(str, t.shape))}]" if t.dims else "[zero]"
    at: dict[int, list[str]] = {}
    rest = []
    for c in t.charges:
        own = [s for s in c.subject if isinstance(s, int) and s in t.atoms]
        if len(c.subject) == len(own) == 1 and t.atoms[own[0]].kind != "batch":
            at.setdefault(own[0], []).append(show_charge(c))
        else:
            where = ", ".join(_show_owner(t, s) for s in c.subject)
            rest.append(f"{show_charge(c)} at {where}")
    seen: dict[int, str] = {}
    for a in t.atoms.values():
        again = sum(other.name == a.name and a.kind != "free" for k, other in t.atoms.items() if k in seen)
        seen[a.id] = _show_atom(t, a, again, at.get(a.id, []))
    dims = [
        "(" + " ".join(seen[a.id] for a in d) + ")" if len(d) > 1 else seen[d[0].id] if d else "1"
        for d in t.dims
    ]
    rest += [f"zero unless {' = '.join(seen[a].split('^')[0] for a in sorted(link))}" for link in t.links]
    rest += ["only where a condition holds"] if t.guards else []
    return f"[{', '.join(dims)}]" + (f" ({'; '.join(rest)})" if rest else "")


def _show_atom(t: Type, atom: Atom, again: int, charges: list[str]) -> str:
    name = atom.name
    if atom.kind == "free" and charges and atom.space:
        name = atom.space
    if atom.kind == "equal" and t.is_uniform(atom):
        name = f"uniform {atom.size}"
    return name + "'" * again + (f"^{{{', '.join(charges)}}}" if charges else "")


def _show_owner(t: Type, owner: Owner) -> str:
    match owner:
        case None:
            return "?"
        case At(place=k, owner=above):
            return f"{_show_owner(t, above)}[{k}]"
        case found:
            return t.atoms[found].name if found in t.atoms else "?"
