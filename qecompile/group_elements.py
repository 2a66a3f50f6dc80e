"""Elements of the group of a spec, and how they are drawn.

Takes tensors, gives frozen values. What an element *does* is said in `groups.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from qecompile.spec import Space


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What an element holds for one space, once for each copy of that space.

    `copies` below stands for the sizes of the spaces it is nested in, outermost first.

    Attributes:
        source: [copies, n], int64: the index value that moves to j is `source[..., j]`; None unless the
            space is permuted.
        matrix: [copies, n, n]: M of `linear`, Q of `orthogonal` and `rotate`; None for an index space.
        characters: one tensor per character of the space: [copies, n] for `scale` and `sign`, [copies]
            for `dilate`.
    """

    source: Tensor | None = None
    matrix: Tensor | None = None
    characters: tuple[Tensor, ...] = ()

    def convert(self, function: Callable[[Tensor], Tensor]) -> Part:
        """The part with `function` applied to every tensor of it."""
        return Part(
            None if self.source is None else function(self.source),
            None if self.matrix is None else function(self.matrix),
            tuple(function(c) for c in self.characters),
        )

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors with a word for each, in a fixed order."""
        if self.source is not None:
            yield "source", self.source
        if self.matrix is not None:
            yield "matrix", self.matrix
        yield from ((f"character {k}", c) for k, c in enumerate(self.characters))


@dataclass(frozen=True, slots=True, eq=False)
class Element:
    """An element of the group of a spec: one `Part` per space, in order of declaration.

    Elements are compared with `Group.distance`, not with `==`.
    """

    parts: Mapping[str, Part]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", MappingProxyType(dict(self.parts)))

    @property
    def device(self) -> torch.device:
        """Where the element is; the CPU if it holds no tensor."""
        found = (t.device for part in self.parts.values() for _, t in part.tensors())
        return next(found, torch.device("cpu"))

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Element:
        """The element with its numbers in `dtype` (permutations stay int64) and on `device`.

        Raises:
            ValueError: `dtype` is not floating.
        """
        if dtype is not None and not dtype.is_floating_point:
            raise ValueError(f"an element of a group has a floating dtype, not {dtype}")

        def move(t: Tensor) -> Tensor:
            return t.to(device=device, dtype=dtype if t.is_floating_point() else None)

        return Element({name: part.convert(move) for name, part in self.parts.items()})

    def __repr__(self) -> str:
        shown = (f"{name}: {_describe(part)}" for name, part in self.parts.items())
        return f"Element({'; '.join(shown)})"


def _describe(part: Part) -> str:
    """One part in words: small index tensors in full, of the others the shape."""
    return ", ".join(f"{word} {_brief(t)}" for word, t in part.tensors()) or "fixed"


def _brief(t: Tensor) -> str:
    if t.numel() > 8:
        return f"{str(t.dtype).removeprefix('torch.')} {list(t.shape)}"
    return str([round(x, 4) for x in t.tolist()] if t.dim() == 1 else t.tolist())


def part_shapes(space: Space, copies: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
    """What `Part.tensors` must yield for a space: the words and the shapes.

    >>> part_shapes(Space(name="h", size=3, permuted=True, parent="e"), (2,))
    [('source', (2, 3))]
    """
    index = (*copies, space.size)
    shapes = [("source", index)] if space.permuted else []
    shapes += [("matrix", (*index, space.size))] if space.vector else []
    each = copies if space.is_vector else index
    return shapes + [(f"character {k}", each) for k in range(len(space.characters))]


def identity_part(space: Space, copies: tuple[int, ...]) -> Part:
    """The identity of one space, in float64, on the CPU.

    Args:
        space: the space.
        copies: the sizes of the spaces it is nested in, outermost first.
    """
    n = space.size
    ones = torch.ones(copies if space.is_vector else (*copies, n), dtype=torch.float64)
    eye = torch.eye(n, dtype=torch.float64)
    return Part(
        torch.arange(n).expand(*copies, n).clone() if space.permuted else None,
        eye.expand(*copies, n, n).clone() if space.vector else None,
        tuple(ones.clone() for _ in space.characters),
    )


def random_part(space: Space, copies: tuple[int, ...], generator: torch.Generator, scale: float) -> Part:
    """A random element of the group of one space, independently for every copy, in float64.

    Permutations and signs are uniform; `scale` and `dilate` are exp(u), u uniform in [-scale, scale];
    `linear` is Q1 diag(exp(u)) Q2 with Q1, Q2 Haar in O(n), so its condition number is at most
    exp(2 scale); `orthogonal` and `rotate` are Haar in O(n) and SO(n).

    Args:
        space: the space.
        copies: the sizes of the spaces it is nested in, outermost first.
        generator: where the numbers come from; the tensors are made on its device.
        scale: the bound on u.
    """
    n = space.size
    index = (*copies, n)
    source = torch.argsort(_uniform(index, generator), dim=-1) if space.permuted else None
    matrix = random_matrix(space.vector, (*index, n), generator, scale) if space.vector else None
    characters = []
    for character in space.characters:
        u = 2 * _uniform(copies if space.is_vector else index, generator) - 1
        characters.append(
            torch.where(u < 0, -1.0, 1.0).to(u) if character.word == "sign" else (scale * u).exp()
        )
    return Part(source, matrix, tuple(characters))


def random_matrix(word: str, shape: tuple[int, ...], generator: torch.Generator, scale: float) -> Tensor:
    """A batch of random matrices of GL(n), O(n) or SO(n), in float64; see `random_part`.

    Args:
        word: `linear`, `orthogonal` or `rotate`.
        shape: [..., n, n].
        generator: where the numbers come from.
        scale: bound on the logarithms of the singular values of `linear`.
    """
    q = _haar(shape, generator)
    if word == "orthogonal":
        return q
    if word == "rotate":
        flip = torch.ones(shape[:-1], dtype=q.dtype, device=q.device)
        flip[..., 0] = torch.linalg.det(q).sign()
        return q * flip[..., None, :]
    stretch = (scale * (2 * _uniform(shape[:-1], generator) - 1)).exp()
    return (q * stretch[..., None, :]) @ _haar(shape, generator)


def invert_matrix(matrix: Tensor, space: Space) -> Tensor:
    """M^-1 for `linear`, Q^T for `orthogonal` and `rotate`; [..., n, n], below float32 by way of float32."""
    if space.vector != "linear":
        return matrix.mT
    wide = torch.promote_types(matrix.dtype, torch.float32)
    inverse: Tensor = torch.linalg.inv(matrix.to(wide))
    return inverse.to(matrix.dtype)


def _haar(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Haar measure on O(n): QR of a Gaussian, R's signs moved to Q (Mezzadri, math-ph/0609050)."""
    gaussian = torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)
    q: Tensor
    q, r = torch.linalg.qr(gaussian)
    return q * torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(q)[..., None, :]


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device)
