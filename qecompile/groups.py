"""The group of a spec: random elements, products, inverses, and the action on parameters.

Takes a `Spec`, gives torch values. Does not know bases, diagrams or emitted code.

*Conventions.* Let a space s be nested in s_1, ..., s_k (outermost first) and write I = (i_1, ..., i_k) for
values of their indices: a *copy* of s. An element g holds for every copy I of s a permutation p_I of the
index (identity unless s is `permute`), numbers c_{I,i} per character and index value (c_I for `dilate`), and
a matrix M_I on a vector space. Copies are named by where they *end up*: with one index space over a vector
space, x in R^n (x) R^d,

    (g x)[p(i), :] = M_{p(i)} (c_{p(i)}^charge x[i, :]),    that is    g = (copies) . (permutation),

the wreath product H wr S(n) with H acting after S(n). At any depth, the index values that arrive at
(i_1, ..., i_k, j) come from sigma_g(i_1, ..., i_k, j) = (p^-1(i_1), p_{i_1}^-1(i_2), ..., p_I^-1(j)), so

    (g x)[J] = w_g(J) x[sigma_g(J)],   sigma_{gh} = sigma_h . sigma_g,
    (gh)_J = g_J h_{sigma_g(J)},       (g^-1)_J = (g_{sigma_g^-1(J)})^-1,

where w_g(J) is the product of c^charge over the axes and, on vector axes, M_I (M_I^-T on a dual axis of a
`linear` space) with I read off the axis' parents. These are laws of a group and of a linear action of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from qecompile.group_action import transform
from qecompile.group_elements import Element, Part, identity_part, invert_matrix, part_shapes, random_part
from qecompile.nesting import copy_shapes
from qecompile.spec import Axis, Space, Spec


class Group:
    """The group G of a spec and its action on parameters (theory.md, section 1).

    >>> from qecompile.spec import Axis, Param, Space, Spec
    >>> h = Space(name="h", size=3, permuted=True)
    >>> spec = Spec(name="s", spaces=(h,), parameters=(Param(name="b", axes=(Axis(space="h"),), shape=(3,)),))
    >>> group = Group(spec)
    >>> g = Element({"h": Part(source=torch.tensor([2, 0, 1]))})
    >>> group.compose(g, g)
    Element(h: source [1, 2, 0])
    >>> group.act(g, {"b": torch.tensor([10.0, 20.0, 30.0])})
    {'b': tensor([30., 10., 20.])}
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._copies = copy_shapes(spec)

    def __repr__(self) -> str:
        shown = ", ".join(f"{s.name} {[*self._copies[s.name], s.size]}: {s.group}" for s in self.spec.spaces)
        return f"Group({shown})"

    # --- elements -------------------------------------------------------------------------------------

    def identity(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None
    ) -> Element:
        """The identity element."""
        return self.with_parts({}).to(dtype, device)

    def with_parts(self, parts: Mapping[str, Part]) -> Element:
        """The element that has parts for some spaces, and is the identity on the others, in float64."""
        still = {s.name: identity_part(s, self._copies[s.name]) for s in self.spec.spaces}
        return Element({**still, **parts})

    def sample(
        self,
        generator: torch.Generator,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
        scale: float = 1.0,
    ) -> Element:
        """A random element, determined by the state of `generator`; every component of G is reached.

        Numbers are drawn in float64 on the generator's device and then converted, so that one seed gives
        one element up to rounding. `group_elements.random_part` states the distributions.

        Args:
            generator: where the numbers come from; it advances.
            dtype: the floating dtype of the element.
            device: where to put it; that of the generator by default.
            scale: `scale` and `dilate` factors and the singular values of `linear` lie in
                [exp(-scale), exp(scale)].

        Raises:
            ValueError: `scale` is negative or not finite, or `dtype` is not floating.
        """
        if not (math.isfinite(scale) and scale >= 0):
            raise ValueError(f"scale must be a finite number >= 0, not {scale}")
        parts = {s.name: random_part(s, self._copies[s.name], generator, scale) for s in self.spec.spaces}
        return Element(parts).to(dtype, device)

    def compose(self, g: Element, h: Element) -> Element:
        """The product gh: `act(compose(g, h), x) == act(g, act(h, x))`.

        Raises:
            ValueError: `g` or `h` is not an element of this group.
        """
        self._check(g)
        self._check(h)
        h = h.to(device=g.device)
        flat = self._flat_sources(g)
        parts = {}
        for s in self.spec.spaces:
            moved = _rows(h.parts[s.name], s, flat[s.parent], flat[s.name])
            parts[s.name] = _multiply(g.parts[s.name], moved)
        return Element(parts)

    def inverse(self, g: Element) -> Element:
        """The inverse of `g`.

        Raises:
            ValueError: `g` is not an element of this group.
        """
        self._check(g)
        back = {name: torch.argsort(flat) for name, flat in self._flat_sources(g).items()}
        parts = {}
        for s in self.spec.spaces:
            moved = _rows(g.parts[s.name], s, back[s.parent], back[s.name])
            source = (back[s.name] % s.size).view(*self._copies[s.name], s.size) if s.permuted else None
            matrix = None if moved.matrix is None else invert_matrix(moved.matrix, s)
            parts[s.name] = Part(source, matrix, tuple(c.reciprocal() for c in moved.characters))
        return Element(parts)

    def distance(self, g: Element, h: Element) -> float:
        """The largest difference between the numbers of two elements; infinite if permutations differ.

        It is NaN where a number of either is.

        Raises:
            ValueError: `g` or `h` is not an element of this group.
        """
        self._check(g)
        self._check(h)
        gaps = [0.0]
        for name, part in g.parts.items():
            for (word, a), (_, b) in zip(part.tensors(), h.parts[name].tensors(), strict=True):
                gap = float((a - b).abs().max())
                gaps.append(math.inf if word == "source" and gap else gap)
        return math.nan if any(map(math.isnan, gaps)) else max(gaps)

    # --- the action -----------------------------------------------------------------------------------

    def act(self, g: Element, theta: Mapping[str, Tensor], *, channels: bool = False) -> dict[str, Tensor]:
        """The action of `g` on parameters, or on features of parameter type; differentiable.

        Args:
            g: the element; it is converted to the dtype and device of each tensor.
            theta: tensors [batch..., *shape] by name of parameter (with `channels`, [batch..., *shape,
                C], the last axis untouched), in any floating dtype; any subset of the parameters.
            channels: whether the tensors have a trailing channel axis.

        Returns:
            The transformed tensors, of the same shapes, under the same names.

        Raises:
            ValueError: a name is not a parameter, a shape does not end with that of the parameter, a
                tensor is not floating, or `g` is not an element of this group.
        """
        self._check(g)
        if unknown := [name for name in theta if name not in self.spec.params]:
            raise ValueError(
                f"spec {self.spec.name} has no parameter {unknown[0]}; it has {[*self.spec.params]}"
            )
        return {
            name: self._act_axes(g, self.spec.params[name].axes, x, channels, name)
            for name, x in theta.items()
        }

    def act_on(self, g: Element, axes: Sequence[Axis], x: Tensor, *, channels: bool = False) -> Tensor:
        """The action of `g` on one tensor of any type over the spaces of the spec, as on a contraction.

        Args:
            g: the element.
            axes: the type of the tensor.
            x: [batch..., *shape] (with `channels`, [batch..., *shape, C]) in a floating dtype.
            channels: whether `x` has a trailing channel axis.

        Raises:
            ValueError: `x` has another shape or is not floating, or `g` is not an element of this group.
        """
        self._check(g)
        return self._act_axes(g, axes, x, channels, "the tensor")

    def _act_axes(self, g: Element, axes: Sequence[Axis], x: Tensor, channels: bool, name: str) -> Tensor:
        _check_tensor(name, x, [self.spec.space[a.space].size for a in axes], channels)
        y = transform(self.spec.space, g.parts, axes, x if channels else x.unsqueeze(-1))
        return y if channels else y.squeeze(-1)

    # --- inside ---------------------------------------------------------------------------------------

    def _check(self, g: Element) -> None:
        """Raise ValueError unless the parts of `g` have the shapes of this group."""
        if [*g.parts] != [*self.spec.space]:
            raise ValueError(f"the element has parts {[*g.parts]}, the group {[*self.spec.space]}")
        for name, part in g.parts.items():
            wanted = part_shapes(self.spec.space[name], self._copies[name])
            if (found := [(word, tuple(t.shape)) for word, t in part.tensors()]) != wanted:
                raise ValueError(f"the element has {found} for space {name}, the group {wanted}")

    def _flat_sources(self, g: Element) -> dict[str | None, Tensor]:
        """sigma_g for every space, as a permutation of its index values in all copies, counted flat.

        Under None stands the one copy of every root space.
        """
        flat: dict[str | None, Tensor] = {None: torch.zeros(1, dtype=torch.int64, device=g.device)}
        for s in self.spec.spaces:
            source = g.parts[s.name].source
            if source is None:
                source = torch.arange(s.size, device=g.device)
            flat[s.name] = (flat[s.parent].view(-1, 1) * s.size + source.reshape(-1, s.size)).flatten()
        return flat


def _rows(part: Part, space: Space, copies: Tensor, values: Tensor) -> Part:
    """The part whose data at J are those of `part` at sigma(J).

    Args:
        part: the data to read, of one space.
        space: that space.
        copies: sigma on the copies of the space, flat.
        values: sigma on the index values of all copies, flat; not read on a vector space.
    """

    def by_copy(t: Tensor) -> Tensor:
        return t.reshape(len(copies), -1)[copies].view(t.shape)

    def by_value(t: Tensor) -> Tensor:
        return t.flatten()[values].view(t.shape)

    return part.convert(by_copy if space.is_vector else by_value)


def _multiply(g: Part, h: Part) -> Part:
    """g_J h_J for every J; the permutation is that of `h`, already read at sigma_g."""
    matrix = None
    if g.matrix is not None and h.matrix is not None:
        wide = torch.promote_types(g.matrix.dtype, h.matrix.dtype)
        matrix = g.matrix.to(wide) @ h.matrix.to(wide)
    return Part(h.source, matrix, tuple(a * b for a, b in zip(g.characters, h.characters, strict=True)))


def _check_tensor(name: str, x: Tensor, shape: list[int], channels: bool) -> None:
    """Raise ValueError unless `x` is floating and its shape ends with `shape` (and a channel axis)."""
    found = list(x.shape[:-1] if channels else x.shape)
    if (channels and x.dim() == 0) or found[len(found) - len(shape) :] != shape or len(found) < len(shape):
        wanted = ", ".join(["batch...", *map(str, shape), *(["C"] if channels else [])])
        raise ValueError(f"{name}: expected shape [{wanted}], got {list(x.shape)}")
    if not x.is_floating_point():
        raise ValueError(f"{name}: expected a floating dtype, got {x.dtype}")
