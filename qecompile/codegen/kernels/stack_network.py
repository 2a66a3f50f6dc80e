"""How emitted networks hand sums on from layer to layer, as text.

The layer's own `forward` runs on stand-ins (`_Read`) for the large tensors, which hold what `_mix` and
`_means` are asked for; it gives sums (`_Sum`) whose activation waits for the next layer. Where anything looks
into a network, it is left as it is written above.
"""

from __future__ import annotations

NETWORK = '''
class _Sum(NamedTuple):
    """`full` plus parts that are broadcast, not added up yet."""

    full: Tensor
    parts: tuple[Tensor, ...]


class _Read:
    """Stands for a tensor of which a layer takes a product and means, which are known."""

    def __init__(self, product: Tensor, means: dict[tuple[int, ...], Tensor]) -> None:
        self.product, self.means = product, means

    def mean(self, dim: int | tuple[int, ...]) -> Tensor:
        """A mean that is known."""
        return self.means[(dim,) if isinstance(dim, int) else dim]


class _Checked(dict):
    """Features that need no check."""


_check_all, _mix_tensors = _check, _mix


def _check(x, channels: int | None, like: Tensor):  # noqa: F811
    """Give back `x` if it is in order, and stand-ins as they are."""
    return x if type(x) is _Checked else _check_all(x, channels, like)


def _mix(x, weight: Tensor, *parts: Tensor):  # noqa: F811
    """`x @ weight` plus all parts; of a stand-in, a sum that is not written."""
    return _Sum(x.product, parts) if type(x) is _Read else _mix_tensors(x, weight, *parts)


def _advanced(layer: EquivariantLinear, x: dict) -> dict:
    """A layer, of features some of which are sums before their activation."""
    read, advance = _Checked(x), torch.ops.{library}.advance
    for name, s in STACK.items():
        active = type(x[name]) is _Sum
        full, parts = x[name] if active else (x[name], ())
        product, *means = advance(full, getattr(layer, s.weight), parts, name, active)
        read[name] = _Read(product, dict(zip(s.dims, means, strict=True)))
    return layer.forward(read)


def _activated(x: dict) -> dict:
    """`activate`, which sums wait for until they are read."""
    plain = {name: y.full.new_empty(0) if type(y) is _Sum else y for name, y in x.items()}
    return {name: x[name] if type(x[name]) is _Sum else y for name, y in activate(plain).items()}


def _added(y: _Sum) -> Tensor:
    """A sum, written in one pass."""
    if not y.parts:
        return y.full
    one = torch.eye(y.full.shape[-1], dtype=y.full.dtype, device=y.full.device)
    return _mix_tensors(y.full, one, *y.parts)


def _settled(x: dict, active: bool) -> dict[str, Tensor]:
    """All sums added up, and activated."""
    found = {}
    for name, y in x.items():
        if type(y) is _Sum:
            total = _added(y)
            y = STACK[name].activation(total) if active else total
        found[name] = y
    return found


def _stacks(net: MetaNet, theta: dict[str, Tensor]) -> bool:
    """Whether a network hands sums on: kernels take its weights, and nothing watches its layers."""
    if type(theta) is not dict or torch.compiler.is_compiling() or not theta.keys() >= STACK.keys():
        return False
    if nn.modules.module._has_any_global_hook() or not all(map(_as_written, net.children())):
        return False
    large = sorted((theta[name] for name in STACK), key=lambda t: -t.numel())
    return _launches(*large, next(net.parameters())) and _register()


def _as_written(m: nn.Module) -> bool:
    """Whether a part of a network is of this file or of torch, with its own `forward` and without hooks."""
    hooks = m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks
    known = type(m).__module__ == MetaNet.__module__ or type(m).__module__.startswith("torch.nn.modules.")
    return known and "forward" not in vars(m) and not any(hooks) and all(map(_as_written, m.children()))
'''

MEANS_READ = '''
_means_of_tensor = _means


def _means(x, *dims: int) -> tuple[Tensor, ...]:  # noqa: F811
    """Means over one axis each."""
    return tuple(map(x.mean, dims)) if type(x) is _Read else _means_of_tensor(x, *dims)
'''

HOOK = '''
_forward_by_torch = MetaNet.forward


def _forward(self: MetaNet, theta: dict[str, Tensor]):
    """`MetaNet.forward`, with sums that are not written between layers where kernels serve."""
    return _stacked(self, theta) if _stacks(self, theta) else _forward_by_torch(self, theta)


MetaNet.forward = _forward
'''
