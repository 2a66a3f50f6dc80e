"""The user's network as a function of the parameters of the spec, in float64.

Takes a spec with a `model` statement, gives a `Network`. Parameters are found in the network by their `from`
clauses, as in a checkpoint; one without is found by its name. Everything else of the network, buffers
included, stays as it is. The network is evaluated, not trained, in float64, by operators that can be
differentiated twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from qecompile.checkpoints.matching import Found, match
from qecompile.checkpoints.reading import view_parameter
from qecompile.checkpoints.stored import Stored, quote
from qecompile.errors import IRError, Note
from qecompile.group_elements import Element
from qecompile.groups import Group
from qecompile.model.finding import find_model, guarded, refuse
from qecompile.model.running import running
from qecompile.spec import Axis, Entry, Input, Model, Param, Spec

Weights = Mapping[str, Tensor]
Drawn = tuple[tuple[Tensor, ...], dict[str, Tensor]]


@dataclass(frozen=True)
class Slot:
    """One tensor of the network, put together from parameters and what is left of its own numbers.

    `index` says where each number comes from in all of these, one after the other; None if the tensor is one
    parameter, as it is.
    """

    name: str
    shape: tuple[int, ...]
    params: tuple[str, ...]
    own: Tensor
    index: Tensor | None

    def fill(self, theta: Weights) -> Tensor:
        """The tensor for these parameters."""
        if self.index is None:
            return theta[self.params[0]].reshape(self.shape)
        parts = [*(theta[name].reshape(-1) for name in self.params), self.own]
        return torch.cat(parts)[self.index].view(self.shape)


class Network:
    """The function f(theta, x) that a spec names: theta by name of parameter, of the shapes of the spec.

    A module at hand may be given; it stands for the one that the spec names, and is put in float64 and
    evaluation mode.

    Attributes:
        spec: the spec.
        group: its group.
        weights: the parameters as the network was made, in float64.
    """

    def __init__(self, spec: Spec, weights: Weights | None = None, module: nn.Module | None = None) -> None:
        self.spec, self.group = spec, Group(spec)
        found = find_model(spec) if module is None else module
        self.model: Model = _declared(spec)
        self._slots: tuple[Slot, ...] = ()
        self._function: Callable[..., object]
        if isinstance(found, nn.Module):
            module = found.double().eval().requires_grad_(False)
            self._function = module
            self._slots, self.weights = _slots(spec, self.model, module)
        else:
            self._function = found
            generator = torch.Generator().manual_seed(0)
            self.weights = {
                p.name: torch.randn(p.shape, generator=generator, dtype=torch.float64)
                for p in spec.parameters
            }

        if weights is not None:
            self.weights = {name: weights[name].double() for name in self.weights}

    def draw(self, generator: torch.Generator, *, wide: bool = False) -> Drawn:
        """Inputs as the `model` statement says; if `wide`, normal ones of any size up to 30.

        The support is the same, so that as many weights matter; but what few inputs of size 1 show, as a relu
        that is nearly always off, many larger ones do.
        """
        drawn = [(i.keyword, draw_input(i, generator, wide=wide)) for i in self.model.inputs]
        return tuple(x for k, x in drawn if k is None), {k: x for k, x in drawn if k is not None}

    def __call__(self, theta: Weights, inputs: Drawn) -> Tensor:
        """All floating numbers that the network gives, in one row.

        Raises:
            SymError: the network fails, or gives no floating numbers.
        """
        args, kwargs = inputs
        state = {slot.name: slot.fill(theta) for slot in self._slots}
        with running(), guarded(self.model, "cannot be run"):
            if isinstance(self._function, nn.Module):
                outputs = torch.func.functional_call(self._function, state, args, kwargs)
            else:
                outputs = self._function(dict(theta), *args, **kwargs)
        return self._flat(outputs)

    def _flat(self, outputs: object) -> Tensor:
        leaves = [x for x in tree_flatten(outputs)[0] if isinstance(x, Tensor)]
        real = [torch.view_as_real(x) if x.is_complex() else x for x in leaves]
        floating = [x.reshape(-1).double() for x in real if x.is_floating_point()]
        if self.model.output is not None:
            self._check_last_axis([tuple(x.shape) for x in real if x.is_floating_point()], self.model.output)
        if not floating or not sum(x.numel() for x in floating):
            shown = str(leaves[0].dtype).removeprefix("torch.") if leaves else type(outputs).__name__
            help = "a model gives floating tensors, alone or in tuples, lists and dictionaries"
            refuse("QE304", self.model, f"`{self.model.target}` gives no floating numbers, but {shown}", help)
        return torch.cat(floating)

    def _check_last_axis(self, shapes: Sequence[tuple[int, ...]], space: str) -> None:
        size = self.spec.space[space].size
        for shape in shapes:
            if not shape or shape[-1] != size:
                message = f"`{self.model.target}` gives a tensor of shape {list(shape)}"
                refuse("QE304", self.model, f"{message}, whose last axis is not `{space}` of size {size}")

    def follow(self, g: Element | None, output: Tensor) -> Tensor:
        """What a group element does to an output: nothing, unless its last axis belongs to a space."""
        if g is None or self.model.output is None:
            return output
        space = self.spec.space[self.model.output]
        axis = Axis(space=space.name, charges=(1,) * len(space.characters))
        moved: Tensor = self.group.act_on(g, (axis,), output.view(-1, space.size))
        return moved.reshape(-1)

    def act(self, g: Element, theta: Weights, space: str | None = None) -> dict[str, Tensor]:
        """The weights moved by an element; by one that acts by one space only, if that is named."""
        params = self.spec.params
        touched = {
            n: t for n, t in theta.items() if not space or any(a.space == space for a in params[n].axes)
        }
        return {**theta, **self.group.act(g, touched)}

    def values(self, theta: Weights, inputs: Drawn) -> Tensor:
        """The same without gradients; every number is finite.

        Raises:
            SymError: a number is NaN or infinite; or see `__call__`.
        """
        with torch.no_grad():
            y = self(theta, inputs)
        if not bool(y.isfinite().all()):
            count = int((~y.isfinite()).sum())
            message = f"`{self.model.target}` gives {count} of {y.numel()} numbers that are not finite"
            refuse("QE304", self.model, message, "the weights or the inputs may be too large for it")
        return y

    def other_weights(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Weights near those of the network, but in general position.

        Numbers that are all positive, as variances are, stay so: each is multiplied by exp(u / 3), u normal.
        To others a normal number of half their root mean square is added, or of 1/2 where all are 0.
        """
        found = {}
        for name, t in self.weights.items():
            u = torch.randn(t.shape, generator=generator, dtype=torch.float64)
            if t.numel() and bool((t > 0).all()):
                found[name] = t * (u / 3).exp()
            else:
                found[name] = t + u * typical_size(t) / 2
        return found


def typical_size(t: Tensor) -> float:
    """The root mean square of some numbers; 1 if all are 0."""
    rms = float(t.square().mean().sqrt()) if t.numel() else 0.0
    return rms or 1.0


def _declared(spec: Spec) -> Model:
    if spec.model is None:
        raise IRError(f"spec {spec.name} has no model")
    return spec.model


def draw_input(declared: Input, generator: torch.Generator, *, wide: bool = False) -> Tensor:
    """One input, floating in float64, or of integers."""
    shape = declared.shape
    match declared.distribution:
        case "normal":
            size = 30.0 ** float(torch.rand((), generator=generator)) if wide else 1.0
            return size * torch.randn(shape, generator=generator, dtype=torch.float64)
        case "uniform":
            return torch.rand(shape, generator=generator, dtype=torch.float64)
        case "ones":
            return torch.ones(shape, dtype=torch.float64)
        case "tokens":
            return torch.randint(declared.below or 1, shape, generator=generator)


# Parameters in the network


def _slots(spec: Spec, model: Model, module: nn.Module) -> tuple[tuple[Slot, ...], dict[str, Tensor]]:
    """The tensors of a network that hold parameters, and the parameters."""
    named: dict[str, Tensor] = {**dict(module.named_parameters(remove_duplicate=False))}
    named |= dict(module.named_buffers(remove_duplicate=False))
    floating = {n: t.detach() for n, t in named.items() if t.is_floating_point()}
    entries = {n: Stored(n, "F64", tuple(t.shape)) for n, t in floating.items()}
    sourced = spec.model_copy(update={"parameters": tuple(_with_entry(p, entries) for p in spec.parameters)})
    matched = match(sourced, model.target, entries, sourced.params)
    matched.require()
    matched.require_apart()
    by_entry = matched.by_entry()
    _check_tied(model, {n: named[n] for n in by_entry}, by_entry)
    slots: list[Slot] = []
    weights: dict[str, Tensor] = {}
    for name, sharing in by_entry.items():
        own = floating[name]
        if not bool(own.isfinite().all()):
            help = "initialise every weight, or name a checkpoint"
            refuse("QE304", model, f"the entry {quote(name)} of `{model.target}` is not finite", help)
        slots.append(_slot(name, own, sharing))
        weights |= {f.param.name: view_parameter(own, f.placement).clone() for f in sharing}
    return tuple(slots), {p.name: weights[p.name].contiguous() for p in spec.parameters}


def _with_entry(p: Param, entries: Mapping[str, Stored]) -> Param:
    """A parameter without a `from` clause stands where its name says, if that is an entry."""
    if p.source is None and p.name in entries:
        return p.model_copy(update={"source": Entry(key=p.name)})
    return p


def _check_tied(model: Model, named: Mapping[str, Tensor], by_entry: Mapping[str, Sequence[Found]]) -> None:
    """Fail if two entries with parameters are one tensor: the group would have to move it in two ways."""
    seen: dict[int, str] = {}
    for name, tensor in named.items():
        first = seen.setdefault(id(tensor), name)
        if first != name:
            one, other = by_entry[first][0].param.name, by_entry[name][0].param.name
            note = Note(f"entries {quote(first)} and {quote(name)} are tied")
            help = "declare one parameter for both, with the axes that serve at both ends"
            refuse("QE305", model, f"`{one}` and `{other}` are one tensor of `{model.target}`", help, note)


def _slot(name: str, own: Tensor, sharing: Sequence[Found]) -> Slot:
    places = torch.arange(own.numel()).view(own.shape)
    offset = sum(math.prod(f.param.shape) for f in sharing)
    index = torch.arange(own.numel()) + offset
    offset = 0
    for found in sharing:
        at = view_parameter(places, found.placement).reshape(-1)
        index[at] = torch.arange(at.numel()) + offset
        offset += at.numel()
    alone = len(sharing) == 1 and offset == own.numel() and torch.equal(index, torch.arange(own.numel()))
    params = tuple(f.param.name for f in sharing)
    return Slot(name, tuple(own.shape), params, own.reshape(-1), None if alone else index)
