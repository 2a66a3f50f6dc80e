"""The kernel of a mean over one axis and its operator, as text.

A tensor is read as [outer, size, inner], where `size` is the axis that the mean is over. A program adds up
STEPS tiles along it, for some of the rest, and writes the sum to a slot of its own,

    y[slot, o, i] = sum over s in slot of x[o, s, i];

what calls it adds the slots in their order and divides. Sums are taken in float32.
"""

from __future__ import annotations

MEAN_KERNEL = '''
def _sum_axis(
    x,
    y,
    outer,
    size,
    inner,
    TILE_O: tl.constexpr,
    TILE_S: tl.constexpr,
    TILE_I: tl.constexpr,
    STEPS: tl.constexpr,
):
    """y[slot, o, i] = sum of x[o, s, i] over the s of a slot: STEPS tiles along s for one program."""
    at = tl.program_id(0)
    tiles_i, slots = tl.cdiv(inner, TILE_I), tl.cdiv(size, TILE_S * STEPS)
    i = (at % tiles_i) * TILE_I + tl.arange(0, TILE_I)
    slot = at // tiles_i % slots
    o = (at // tiles_i // slots).to(tl.int64) * TILE_O + tl.arange(0, TILE_O)
    total = tl.zeros((TILE_O, TILE_I), tl.float32)
    for step in range(STEPS):
        s = (slot * STEPS + step) * TILE_S + tl.arange(0, TILE_S)
        row = o[:, None] * size + s  # [o, s]
        inside = ((o[:, None] < outer) & (s < size))[:, :, None] & (i < inner)
        box = tl.load(x + row[:, :, None] * inner + i, mask=inside, other=0.0)
        total += tl.sum(box.to(tl.float32), 1)
    at_y = y + (slot * outer + o)[:, None] * inner + i
    tl.store(at_y, total, mask=(o[:, None] < outer) & (i < inner))
'''

MEAN = '''
def _mean_op(x: Tensor, dim: int) -> Tensor:
    """The mean over one axis."""
    if not _on_device(x):
        return x.mean(dim)
    x = x.contiguous()
    outer, size, inner = math.prod(x.shape[:dim]), x.shape[dim], math.prod(x.shape[dim + 1 :])
    tile_i = _up(inner, 256)
    tile_s = _up(size, 4096 // tile_i)
    tile_o = _up(outer, 4096 // (tile_i * tile_s))
    walk = min(-(-size // tile_s), 16)
    slots = -(-size // (tile_s * walk))
    y = torch.empty(slots, *x.shape[:dim], *x.shape[dim + 1 :], dtype=torch.float32, device=x.device)
    programs = -(-inner // tile_i) * slots * -(-outer // tile_o)
    _launch(_sum_axis, (programs,), x, y, outer, size, inner, tile_o, tile_s, tile_i, STEPS=walk)
    return (y.sum(0) / size).to(x.dtype)


def _save_mean(ctx, inputs, output) -> None:
    x, ctx.dim = inputs
    ctx.shape = x.shape


def _mean_gradient(ctx, dy: Tensor) -> tuple[Tensor, None]:
    """A view of one number for all that it is the mean of."""
    return (dy / ctx.shape[ctx.dim]).unsqueeze(ctx.dim).expand(ctx.shape), None


def _register_mean() -> None:
    mean = torch.library.triton_op("{library}::mean", _mean_op, mutates_args=())
    mean.register_autograd(_mean_gradient, setup_context=_save_mean)


REGISTER.append(_register_mean)
_means_by_torch = _means


def _means(x: Tensor, *dims: int) -> tuple[Tensor, ...]:  # noqa: F811
    """Means over one axis each."""
    if _launches(x) and _register():
        return tuple(torch.ops.{library}.mean(x, dim) for dim in dims)
    return _means_by_torch(x, *dims)
'''
