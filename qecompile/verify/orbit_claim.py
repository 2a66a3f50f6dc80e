"""Whether outputs obey their laws, and whether an alpha moves all of them by one element of the group.

Takes the types of outputs and the types that they should have, gives the cocycle in words, or refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from qecompile.verify.atoms import Atom, Charge, Owner
from qecompile.verify.references import rename_charges, rename_owner
from qecompile.verify.refused import Refused
from qecompile.verify.types import Type
from qecompile.verify.unify import Merged, broadcast, merge

Role = tuple[str, int]  # ("lineage", k): the k-th of batch, outermost index, ...; ("channel", k)
Moves = dict[tuple[Owner, ...], Fraction]
Frames = tuple[tuple[str, tuple[Role, ...]], ...]


@dataclass(frozen=True)
class Output:
    """One output, over the atoms of `type`.

    Attributes:
        label: its name.
        type: the common type.
        raw: the raw charges that it has.
        wanted: the charges that its parameter's axes have.
        frames: for each vector atom, the frames that it is in.
        channels: the atoms of channel axes, in order.
    """

    label: str
    type: Type
    raw: tuple[Charge, ...]
    wanted: tuple[Charge, ...]
    frames: Mapping[int, Atom]
    channels: tuple[int, ...]

    def lineage(self, owner: Owner) -> list[Owner]:
        """The batch, then indices, outermost first, that lead to an atom or place."""
        if owner is None:
            return []
        above = self.type.atoms[owner].owner if isinstance(owner, int) else owner.owner
        return [*self.lineage(above), owner]

    def role(self, owner: Owner, subject: Owner) -> Role | None:
        """What an index that raw numbers vary along is, seen from an axis with a charge."""
        line = self.lineage(subject)
        if owner in line:
            return "lineage", line.index(owner)
        if isinstance(owner, int) and owner in self.channels:
            return "channel", self.channels.index(owner)
        return None

    def at(self, role: Role, subject: Owner) -> Owner:
        """The index with a role."""
        line = self.lineage(subject) if role[0] == "lineage" else list(self.channels)
        if role[1] >= len(line):
            raise Refused(f"`{self.label}` has no index where the alpha varies")
        return line[role[1]]

    def moves(self, name: str) -> Moves:
        """How a raw character moves the output."""
        return {c.subject: c.power for c in self.raw if c.character.name == name}


@dataclass(frozen=True)
class Binding:
    """A raw character as `power` times a character of the spec, at indices with these roles."""

    space: str
    character: str
    power: Fraction
    roles: tuple[Role, ...]

    def moves(self, output: Output) -> Moves:
        """How it should move an output."""
        found: Moves = {}
        for c in output.wanted:
            if (c.character.space, c.character.name) == (self.space, self.character):
                subject = tuple(output.at(role, c.subject[0]) for role in self.roles)
                found[subject] = found.get(subject, Fraction(0)) + self.power * c.power
        return {subject: power for subject, power in found.items() if power}


def describe_cocycle(outputs: Sequence[tuple[str, Type, Type]]) -> str:
    """What alpha does, in words; `strict` if there is none.

    Args:
        outputs: a name for each, its type, and the type that it should have.

    Raises:
        Refused: an output does not obey its law, or the outputs are not moved by one element.
    """
    seen = [_output(*output) for output in outputs]
    seen = [o for o, (_, t, _) in zip(seen, outputs, strict=True) if not t.zero]  # 0 is in every frame
    names = dict.fromkeys(c.character.name for o in seen for c in o.raw)
    told = [f"{b.space}.{b.character} by {name}" for name in names for b in [_bind(name, seen)]]
    told += list(_bind_frames(seen))
    return "; ".join(told) or "strict"


def _output(label: str, t: Type, wanted: Type) -> Output:
    """Compare an output with its law, alpha apart."""
    if t.guards:
        raise Refused("it has a law only where a condition holds", "choose by the same condition again")
    if t.shape != wanted.shape:
        raise Refused(f"its shape is {list(t.shape)}, not {list(wanted.shape)}")
    if any(a.places and not a.space for a in t.atoms.values()):
        raise Refused(
            "channels were picked after an alpha that differs from one to the next",
            "keep all channels in their order: those of different tensors belong together",
        )
    raw = tuple(c for c in t.charges if c.character.word == "raw")
    plain = tuple(c for c in t.charges if c.character.word != "raw")
    dims = tuple(tuple(replace(a, frame=()) for a in dim) for dim in t.dims)
    joint = merge(broadcast(replace(t, dims=dims, charges=plain), wanted), "sum")
    atoms = [a for dim in joint.arranged(range(len(wanted.dims))).dims for a in dim]
    frames = {joint.names[0].get(a.id): a for a in t.atoms.values() if a.kind == "vector"}
    channels = [joint.names[1].get(a.id) for a in wanted.atoms.values() if a.kind == "free" and not a.space]
    return Output(
        label,
        Type((tuple(atoms),)),
        rename_charges(raw, joint.names[0]),
        rename_charges(wanted.charges, joint.names[1]),
        {k: _framed(a, joint) for k, a in frames.items() if isinstance(k, int)},
        tuple(k for k in channels if isinstance(k, int)),
    )


def _framed(atom: Atom, joint: Merged) -> Atom:
    frame = tuple(
        replace(f, along=tuple(rename_owner(s, joint.names[0]) for s in f.along)) for f in atom.frame
    )
    return replace(atom, owner=rename_owner(atom.owner, joint.names[0]), frame=frame)


def _bind(name: str, outputs: Sequence[Output]) -> Binding:
    """The character that a raw one stands for, in all outputs at once."""
    last = ""
    for binding in dict.fromkeys(b for o in outputs for b in _candidates(name, o)):
        wrong = next((o for o in outputs if not _agrees(binding, name, o)), None)
        if wrong is None:
            return binding
        last = (
            f": for {binding.space} `{wrong.label}` should be multiplied by other powers of it than it is, "
            f"{_powers(binding, wrong)} and not {[*map(str, wrong.moves(name).values())] or '0'}"
        )
    raise Refused(
        f"the numbers of alpha `{name}` do not act as one element of the group on all outputs{last}",
        "multiply every tensor by alpha to the power of each of its charges",
    )


def _powers(binding: Binding, output: Output) -> list[str] | str:
    try:
        return [*map(str, binding.moves(output).values())] or "0"
    except Refused:
        return "?"


def _agrees(binding: Binding, name: str, output: Output) -> bool:
    try:
        return binding.moves(output) == output.moves(name)
    except Refused:
        return False


def _candidates(name: str, output: Output) -> Iterator[Binding]:
    """What the raw character may stand for, by one output that it moves."""
    for subject, power in output.moves(name).items():
        for c in output.wanted:
            if c.character.word not in ("scale", "dilate"):
                continue
            roles = [output.role(owner, c.subject[0]) for owner in subject]
            if all(role is not None for role in roles):
                found = tuple(role for role in roles if role is not None)
                yield Binding(c.character.space, c.character.name, power / c.power, found)


def _bind_frames(outputs: Sequence[Output]) -> Iterator[str]:
    """Check that all vector axes of a space are in one frame, and say which."""
    found: dict[str, tuple[Frames, str]] = {}
    for o in outputs:
        for atom in o.frames.values():
            frame = tuple((f.name, tuple(_frame_role(o, atom, s) for s in f.along)) for f in atom.frame)
            known = found.setdefault(atom.space, (frame, o.label))
            if known[0] != frame:
                raise Refused(
                    f"`{atom.space}` is moved by other matrices in `{o.label}` than in `{known[1]}`",
                    "move every axis of a space by one alpha, dual ones by its transposed inverse",
                )
    for space, (frame, _) in found.items():
        if frame:
            yield f"{space} by {', '.join(name for name, _ in frame)}"


def _frame_role(o: Output, atom: Atom, owner: Owner) -> Role:
    role = o.role(owner, atom.owner)
    if role is None:
        raise Refused(
            f"the axis `{atom.space}` of `{o.label}` is moved by matrices that vary along another axis"
        )
    return role
