"""Mirror images: what a network makes of x and of -x, added up, has lost the sign of x.

Takes operations and what is known of their arguments, gives types. Under a `sign` space x goes to -x, and a
value f(x) that is neither odd nor even obeys no law. Two things are known of it all the same: its *plain*
type, the law that it obeys where no sign is changed, written as a type with a guard for each sign; and that
where the sign is changed it goes to f(-x), to be found among the values by what computes it. Hence

    f(x) + f(-x), f(x) f(-x), max(f(x), f(-x)) are even        f(x) - f(-x) is odd

which is how a network without signs is made of any network (SignNet). A sign is told by its character, so all
of f(x) may depend on one sign only of that character at each entry: its plain type has one guard for it.

*Proof.* Let c change all signs of one character. The image of a value r, r(c theta), is what the operations
of r make of the images of its arguments; a typed value goes to itself or, if its charges are odd in all, to
its negative. Let g change the sign at an entry. Then c g does not, so that r(g theta) = r(c g c theta) is
there what the plain type says of c g and r(c theta), the image of r. So r plus its image goes to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import product

from qecompile.verify.atoms import Character, Charge, Guard
from qecompile.verify.canonical import make
from qecompile.verify.graph import Op
from qecompile.verify.raw import Raw
from qecompile.verify.refused import FAILURES
from qecompile.verify.rules import combining, movement, normalising, picking, pointwise, reducing
from qecompile.verify.rules.call import Call, base_name
from qecompile.verify.rules.table import RULES
from qecompile.verify.types import Type

FAMILIES = (movement, picking, pointwise, combining, reducing, normalising)
ALLOWED = frozenset(op for family in FAMILIES for rule in family.RULES for op in rule.ops) | frozenset(
    "cat stack linear matmul bmm einsum addmm convolution conv1d conv2d".split()
)
EVEN = frozenset("add mul maximum minimum logaddexp".split())
OVER_BOTH = frozenset("sum mean amax amin prod".split())
UNCHANGED = "no change of "


def plain_results(call: Call) -> tuple[Type | None, ...] | None:
    """The plain types of the results; None if there are none, or no sign is in play."""
    values = list(_flat(call.given.values()))
    if call.name not in ALLOWED or any(isinstance(v, Raw) and v.plain is None for v in values):
        return None
    if not any(isinstance(v, Raw) or (isinstance(v, Type) and _signs(v)) for v in values):
        return None
    try:
        found = RULES[call.name].apply(replace(call, given={n: _plain(v) for n, v in call.given.items()}))
    except FAILURES:
        return None
    parts = found if isinstance(found, tuple) else (found,)
    return tuple(part if isinstance(part, Type) else None for part in parts)


def _plain(value: object) -> object:
    """An argument with its plain type."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, Raw):
        return value.plain
    return without_signs(value) if isinstance(value, Type) else value


def without_signs(t: Type) -> Type:
    """The law that a value obeys where no sign is changed."""
    guards = [Guard(condition(c.character), True, c.subject) for c in _signs(t)]
    kept = [c for c in t.charges if c.character.word != "sign"]
    return make(t.dims, kept, t.links, (*t.guards, *guards), t.zero)


def condition(character: Character) -> str:
    """The condition of guards that say: this character is 1 here."""
    return f"{UNCHANGED}{character.space} {character.name}"


def is_of_sign(guard: Guard) -> bool:
    """Whether a guard says that a sign is not changed."""
    return guard.condition.startswith(UNCHANGED)


def _signs(t: Type) -> list[Charge]:
    return [c for c in t.charges if c.character.word == "sign"]


def _flat(values: object) -> Iterator[object]:
    for value in values if isinstance(values, (tuple, list)) else list(values):  # type: ignore[call-overload]
        yield from _flat(value) if isinstance(value, tuple) else (value,)


# --- images -----------------------------------------------------------------------------------------------


@dataclass
class Mirrors:
    """Which values are what others become where a sign is changed.

    Attributes:
        values: types and raw values by number.
        ops: the operation that makes a value, by number.
        made: the number of the value that an operation makes, by its key.
        key: the key of an operation, with other values for its arguments.
    """

    values: Mapping[str, object]
    ops: Mapping[str, Op]
    made: Mapping[object, str]
    key: Callable[[Op, Mapping[str, str]], object]
    arguments: Callable[[Op], Sequence[str]]
    found: dict[str, frozenset[str]] = field(default_factory=dict)

    def symmetrised(self, call: Call, plain: Type) -> Type:
        """The plain type without the guards of signs of which the result is even or odd."""
        pair = _pair(call)
        if pair is None:
            return plain
        for guard in plain.guards:
            alike = [g for g in plain.guards if g.condition == guard.condition]
            character = self._character(guard.condition)
            self.found.clear()
            if len(alike) == 1 and character and pair[1] in self.images(pair[0], character):
                odd = [Charge(character, guard.along, Fraction(1))] if call.name == "sub" else []
                left = [g for g in plain.guards if g != guard]
                plain = make(plain.dims, (*plain.charges, *odd), plain.links, left, plain.zero)
        return plain

    def _character(self, named: str) -> Character | None:
        """The character of a condition."""
        types = (v for v in self.values.values() if isinstance(v, Type))
        signs = (c.character for t in types for c in t.charges if c.character.word == "sign")
        return next((c for c in signs if condition(c) == named), None)

    def images(self, number: str, character: Character) -> frozenset[str]:
        """The numbers of all values that are this one where all signs of a character are changed."""
        if number not in self.found:
            value = self.values.get(number)
            odd = _parity(value, character) if isinstance(value, Type) else None
            found = frozenset((number,)) if odd == 0 else self._by_parts(number, character)
            self.found[number] = found | self._negatives(number) if odd else found
        return self.found[number]

    def _by_parts(self, number: str, character: Character) -> frozenset[str]:
        """The same operation on the images of its arguments."""
        if number not in self.ops:
            return frozenset()
        given = self.arguments(self.ops[number])
        options = [self.images(a, character) for a in given]
        keys = [self.key(self.ops[number], dict(zip(given, new, strict=True))) for new in product(*options)]
        return frozenset(self.made[key] for key in keys if key in self.made)

    def _negatives(self, number: str) -> frozenset[str]:
        """What is made as -x, or x if this is -x."""
        negative = {n: self.arguments(op)[0] for n, op in self.ops.items() if _is_negative(op)}
        found = {n for n, x in negative.items() if x == number} | {negative.get(number, number)}
        return frozenset(found - {number})


def _parity(t: Type, character: Character) -> int | None:
    """Whether a change of all signs of a character keeps a value (0) or negates it (1); None if not known."""
    if (
        t.guards
        or any(c.character.word == "raw" for c in t.charges)
        or any(a.frame for a in t.atoms.values())
    ):
        return None
    return int(sum(c.power for c in t.charges if c.character == character)) % 2


def _is_negative(op: Op) -> bool:
    name = base_name(op.target)
    return name == "neg" or (name == "mul" and op.args[1] in (-1, -1.0))


def _pair(call: Call) -> Sequence[str] | None:
    """The two values that an operation treats alike, or subtracts."""
    if call.name in EVEN or call.name == "sub":
        pair = [call.numbers.get("self", ""), call.numbers.get("other", "")]
        return pair if call.get("alpha", 1) == 1 and all(pair) else None
    origin = call.origins.get("self")
    if call.name not in OVER_BOTH or origin is None or origin.name != "stack" or len(origin.numbers) != 2:
        return None
    rank = len(origin.op.shape)
    over = [d % rank for d in call.ints("dim", ())]
    return [*origin.numbers.values()] if over == [origin.integer("dim", 0) % rank] else None
