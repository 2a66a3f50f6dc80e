"""The kernels of means over one axis each and their operators, as text.

A tensor is read as [outer, size, inner], where `size` is the axis that the mean is over. A program adds up
STEPS tiles along it, for some of the rest, and writes the sum to a slot of its own,

    y[slot, o, i] = sum over s in slot of x[o, s, i];

what calls it adds the slots in their order and divides. Sums are taken in float32.

Two means of one tensor are taken as it is read once, as [outer, a, mid, b, inner]: a program walks along a,
keeps the sums over a of its tile, and writes those over b to a slot at each step.
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
        return _taken(x, dims)
    return _means_by_torch(x, *dims)
'''

ONE_BY_ONE = '''
def _taken(x: Tensor, dims: Sequence[int]) -> tuple[Tensor, ...]:
    """Means over one axis each, by kernels."""
    return tuple(torch.ops.{library}.mean(x, dim) for dim in dims)
'''

TWO_MEANS_KERNEL = '''
def _sum_two_axes(
    x,
    over_a,
    over_b,
    outer,
    size_a,
    mid,
    size_b,
    inner,
    TILE_A: tl.constexpr,
    TILE_B: tl.constexpr,
    TILE_I: tl.constexpr,
    STEPS: tl.constexpr,
):
    """Sums over a and over b of x[o, a, m, b, i], in one pass: STEPS tiles along a for one program."""
    at = tl.program_id(0)
    tiles_i, tiles_b = tl.cdiv(inner, TILE_I), tl.cdiv(size_b, TILE_B)
    slots_a = tl.cdiv(size_a, TILE_A * STEPS)
    i = (at % tiles_i) * TILE_I + tl.arange(0, TILE_I)
    tile_b = at // tiles_i % tiles_b
    slot_a = at // tiles_i // tiles_b % slots_a
    om = (at // tiles_i // tiles_b // slots_a).to(tl.int64)
    o, m = om // mid, om % mid
    b = tile_b * TILE_B + tl.arange(0, TILE_B)
    total = tl.zeros((TILE_B, TILE_I), tl.float32)
    for step in range(STEPS):
        a = (slot_a * STEPS + step) * TILE_A + tl.arange(0, TILE_A)
        line = (o * size_a + a) * mid + m  # [a]
        inside = ((a[:, None] < size_a) & (b < size_b))[:, :, None] & (i < inner)
        row = line[:, None] * size_b + b  # [a, b]
        box = tl.load(x + row[:, :, None] * inner + i, mask=inside, other=0.0).to(tl.float32)
        total += tl.sum(box, 0)
        row = tile_b.to(tl.int64) * outer * size_a * mid + line
        inside_line = (a[:, None] < size_a) & (i < inner)
        tl.store(over_b + row[:, None] * inner + i, tl.sum(box, 1), mask=inside_line)
    row = (slot_a.to(tl.int64) * outer * mid + om) * size_b + b
    tl.store(over_a + row[:, None] * inner + i, total, mask=(b[:, None] < size_b) & (i < inner))
'''

TWO_MEANS = '''
def _two_means_op(x: Tensor, a: int, b: int) -> list[Tensor]:
    """The means over axis a and over axis b, which is behind it."""
    if not _on_device(x):
        return [x.mean(a), x.mean(b)]
    x = x.contiguous()
    sizes = (math.prod(x.shape[:a]), x.shape[a], math.prod(x.shape[a + 1 : b]), x.shape[b])
    outer, size_a, mid, size_b = sizes
    inner = math.prod(x.shape[b + 1 :])
    tile_i = _up(inner, 64)
    tile_b = _up(size_b, min(32, 2048 // tile_i))
    tile_a = _up(size_a, 4096 // (tile_i * tile_b))
    walk = min(-(-size_a // tile_a), 16)
    slots, tiles = -(-size_a // (tile_a * walk)), -(-size_b // tile_b)
    scratch = {"dtype": torch.float32, "device": x.device}
    over_a = torch.empty(slots, *x.shape[:a], *x.shape[a + 1 :], **scratch)
    over_b = torch.empty(tiles, *x.shape[:b], *x.shape[b + 1 :], **scratch)
    programs = -(-inner // tile_i) * tiles * slots * outer * mid
    tensors = (x, over_a, over_b)
    _launch(
        _sum_two_axes,
        (programs,),
        *(*tensors, *sizes, inner, tile_a, tile_b, tile_i),
        STEPS=walk,
        num_warps=8,
    )
    return [(over_a.sum(0) / size_a).to(x.dtype), (over_b.sum(0) / size_b).to(x.dtype)]


def _save_two_means(ctx, inputs, output) -> None:
    x, *ctx.dims = inputs
    ctx.shape = x.shape


def _two_means_gradient(ctx, dys: list[Tensor | None]) -> tuple[Tensor | None, None, None]:
    """Views of one number for all that it is the mean of, added up."""
    found = None
    for dy, dim in zip(dys, ctx.dims, strict=True):
        if dy is not None:
            view = (dy / ctx.shape[dim]).unsqueeze(dim).expand(ctx.shape)
            found = view if found is None else found + view
    return found, None, None


def _register_two_means() -> None:
    means = torch.library.triton_op("{library}::two_means", _two_means_op, mutates_args=())
    means.register_autograd(_two_means_gradient, setup_context=_save_two_means)


REGISTER.append(_register_two_means)


def _taken(x: Tensor, dims: Sequence[int]) -> tuple[Tensor, ...]:
    """Means over one axis each, by kernels: two as x is read once."""
    means = {}
    for pair in zip(dims[::2], dims[1::2], strict=False):
        a, b = sorted(pair)
        means[a], means[b] = torch.ops.{library}.two_means(x, a, b)
    for dim in dims:
        if dim not in means:
            means[dim] = torch.ops.{library}.mean(x, dim)
    return tuple(means[dim] for dim in dims)
'''
