"""Generators of the group of a spec, one word of one space at a time, far from the identity.

Takes a spec, gives group elements with words for what they are. A *broad* move acts on all copies and index
values of a space at once, a *single* one on one index value (or two, exchanged) or one copy, so that it can
be named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from qecompile.group_elements import Element, Part, identity_part, random_matrix
from qecompile.groups import Group
from qecompile.nesting import ancestors, copy_shapes
from qecompile.spec import Space, Spec

MOST_SINGLE = 32
"""Single moves of one word that are tried."""


@dataclass(frozen=True)
class Word:
    """One word of the group of one space: `permute`, a vector word, or a character by its number."""

    space: str
    text: str
    character: int | None = None


@dataclass(frozen=True)
class Move:
    """A group element that acts by one word, and where, as in `index value 3`."""

    word: Word
    where: str
    element: Element

    def __str__(self) -> str:
        return f"`{self.word.text}` of `{self.word.space}`{f' at {self.where}' if self.where else ''}"


def words(spec: Spec) -> Iterator[Word]:
    """Every word that does something, in order; not those of a single point."""
    for s in spec.spaces:
        if s.permuted and s.size > 1:
            yield Word(s.name, "permute")
        if s.vector and not (s.vector == "rotate" and s.size == 1):
            yield Word(s.name, s.vector)
        yield from (Word(s.name, c.text, k) for k, c in enumerate(s.characters))


def broad_move(spec: Spec, word: Word, generator: torch.Generator) -> Move:
    """The word in all copies and at all index values at once: nothing stays in place."""
    s, copies = spec.space[word.space], copy_shapes(spec)[word.space]
    if word.character is not None:
        shape = copies if s.is_vector else (*copies, s.size)
        return _move(
            spec, word, "", _character(s, copies, word.character, _numbers(s, word, shape, generator))
        )
    if word.text == "permute":
        source = torch.stack([_cycle(s.size, generator) for _ in range(math.prod(copies))])
        return _move(
            spec, word, "", Part(source.view(*copies, s.size), None, identity_part(s, copies).characters)
        )
    return _move(spec, word, "", _matrices(s, copies, random_matrix_of(s, copies, generator)))


def single_moves(spec: Spec, word: Word, generator: torch.Generator) -> Iterator[Move]:
    """The word at single places: at most `MOST_SINGLE` of them, evenly spread."""
    s, copies = spec.space[word.space], copy_shapes(spec)[word.space]
    whole = s.is_vector
    places = [*product(*map(range, copies if whole else (*copies, s.size)))]
    if word.text == "permute":
        places = [p for p in places if p[-1] + 1 < s.size]
    for place in places[:: math.ceil(len(places) / MOST_SINGLE) or 1]:
        yield single_move(spec, word, place, generator)


def single_move(spec: Spec, word: Word, place: tuple[int, ...], generator: torch.Generator) -> Move:
    """The word at one place: the index values of the spaces around, then that of the space itself."""
    s, copies = spec.space[word.space], copy_shapes(spec)[word.space]
    part = identity_part(s, copies)
    if word.character is not None:
        numbers = part.characters[word.character].clone()
        numbers[place] = _numbers(s, word, (), generator)
        part = _character(s, copies, word.character, numbers)
    elif word.text == "permute":
        source = torch.arange(s.size).expand(*copies, s.size).clone()
        i = place[-1]
        source[place[:-1]][i : i + 2] = torch.tensor([i + 1, i])
        part = Part(source, part.matrix, part.characters)
    else:
        matrix = torch.eye(s.size, dtype=torch.float64).expand(*copies, s.size, s.size).clone()
        matrix[place] = random_matrix_of(s, (), generator)
        part = _matrices(s, copies, matrix)
    return _move(spec, word, where_of(spec, word, place), part)


def where_of(spec: Spec, word: Word, place: tuple[int, ...]) -> str:
    """A place in words.

    >>> h = Space(name="h", size=4, permuted=True)
    >>> where_of(Spec(name="s", spaces=(h,), parameters=()), Word("h", "permute"), (2,))
    'index values 2 and 3'
    """
    around = ancestors(spec, word.space)
    copy = ", ".join(f"{name} {i}" for name, i in zip(around, place, strict=False))
    own = place[len(around) :]
    if not own:
        return copy
    values = f"index values {own[0]} and {own[0] + 1}" if word.text == "permute" else f"index value {own[0]}"
    return f"{values} of {copy}" if copy else values


def random_matrix_of(s: Space, copies: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Matrices of a vector space, not near the identity; of O(n) with determinant -1, the other component."""
    matrix = random_matrix(s.vector or "linear", (*copies, s.size, s.size), generator, 1.0)
    if s.vector == "orthogonal":
        flip = torch.ones(matrix.shape[:-1], dtype=matrix.dtype)
        flip[..., 0] = -torch.linalg.det(matrix).sign()
        matrix = matrix * flip[..., None, :]
    if s.vector == "linear" and s.size == 1:
        matrix = matrix.sign() * (matrix.abs() + 1)
    return matrix


def _move(spec: Spec, word: Word, where: str, part: Part) -> Move:
    return Move(word, where, Group(spec).with_parts({word.space: part}))


def _character(s: Space, copies: tuple[int, ...], k: int, numbers: Tensor) -> Part:
    part = identity_part(s, copies)
    characters = (*part.characters[:k], numbers, *part.characters[k + 1 :])
    return Part(part.source, part.matrix, characters)


def _matrices(s: Space, copies: tuple[int, ...], matrix: Tensor) -> Part:
    part = identity_part(s, copies)
    return Part(part.source, matrix, part.characters)


def _numbers(s: Space, word: Word, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Values of a character: scales between 1.6 and 2.7 or their inverses, signs with at least one -1."""
    u = torch.rand(shape, generator=generator, dtype=torch.float64)
    up = torch.rand(shape, generator=generator) < 0.5
    if s.characters[word.character or 0].word != "sign":
        return torch.where(up, (0.5 + u / 2).exp(), (-0.5 - u / 2).exp())
    signs = torch.where(up, 1.0, -1.0).double()
    signs.view(-1)[0] = -1.0
    return signs


def _cycle(n: int, generator: torch.Generator) -> Tensor:
    """A random permutation in one cycle: every index value moves."""
    order = torch.randperm(n, generator=generator)
    source = torch.empty_like(order)
    source[order] = order.roll(1)
    return source
