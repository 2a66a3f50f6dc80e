"""The helper functions of emitted files for tensors that are larger than a core's cache, as source text.

`_mix` adds a matrix product to parts that are broadcast, `_means` takes means over one axis each. Both are
written for one pass over memory: small parts are written to a block of the output while it is in cache, the
product is accumulated onto it there, and nothing as large as the output is allocated beside it. Where
something looks on (a compiler, an exporter, automatic casts), they are plain sums and products.
"""

from __future__ import annotations

BY_BLOCKS = '''
LARGE = 1 << 18  # entries: what is smaller is cached as a whole


def _by_blocks(*tensors: Tensor) -> bool:
    """Whether to work block by block: large tensors of one dtype in main memory, and nothing that traces."""
    if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False
    x = tensors[0]
    plain = all(type(t) in (Tensor, nn.Parameter) and t.dtype == x.dtype for t in tensors)
    return plain and x.device.type == "cpu" and x.numel() >= LARGE
'''

BLOCKS = '''
BLOCK = 1 << 19  # entries of a tensor that are worked on at a time


def _blocks(x: Tensor) -> list[tuple[slice, slice]]:
    """Cut [B, n, ...] into blocks along the batch, or also along its next axis where that is not enough."""
    entry = x.shape[1:].numel()
    batch = max(1, BLOCK // entry)
    rows = max(1, min(x.shape[1], BLOCK * x.shape[1] // entry))
    return [
        (slice(b, b + batch), slice(i, i + rows))
        for b in range(0, x.shape[0], batch)
        for i in range(0, x.shape[1], rows)
    ]


def _exact(x: Tensor) -> torch.dtype:
    """The dtype that sums over blocks are kept in: at least float32."""
    return x.dtype if x.dtype == torch.float64 else torch.float32


def _at(part: Tensor, here: tuple[slice, slice]) -> Tensor:
    """The part of a broadcast tensor that meets a block."""
    return part[tuple(s if n > 1 else slice(None) for s, n in zip(here, part.shape, strict=False))]
'''

MIX = '''
def _mix(x: Tensor, weight: Tensor, *parts: Tensor) -> Tensor:
    """`x @ weight` plus all parts, which are broadcast."""
    if parts and _by_blocks(x, weight, *parts):
        return _Mix.apply(x, weight, *parts)
    return _plain_mix(x, weight, *parts)


def _plain_mix(x: Tensor, weight: Tensor, *parts: Tensor) -> Tensor:
    y = x @ weight
    for part in parts:
        y = y + part
    return y


class _Mix(torch.autograd.Function):
    """`_mix`, block by block; its derivatives too, unless they are to be differentiated again."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, *parts: Tensor) -> Tensor:
        y = x.new_empty(*x.shape[:-1], weight.shape[1])
        for here in _blocks(y):
            block = y[here]
            first, *others = [_at(part, here) for part in parts]
            if others:
                torch.add(first, others[0], out=block)
            else:
                block.copy_(first)
            for part in others[1:]:
                block.add_(part)
            block.view(-1, y.shape[-1]).addmm_(x[here].flatten(0, -2), weight)
        return y

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        x, weight, *parts = inputs
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)
        ctx.shapes = [part.shape for part in parts]

    @staticmethod
    def backward(ctx, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        if torch.is_grad_enabled():
            dweight = x.flatten(0, -2).t() @ dy.flatten(0, -2)
            return dy @ weight.t(), dweight, *(dy.sum_to_size(shape) for shape in ctx.shapes)
        needs = ctx.needs_input_grad
        dx = torch.empty_like(x, memory_format=torch.contiguous_format) if needs[0] else None
        exact = {"dtype": _exact(dy)}
        dweight = weight.new_zeros(weight.shape, **exact) if needs[1] else None
        dparts = [dy.new_zeros(s, **exact) if need else None for s, need in zip(ctx.shapes, needs[2:])]
        for here in _blocks(dy):
            block = dy[here]
            flat = block.reshape(-1, dy.shape[-1])
            if dx is not None:
                torch.mm(flat, weight.t(), out=dx[here].view(-1, x.shape[-1]))
            if dweight is not None:
                dweight.add_(x[here].reshape(-1, x.shape[-1]).t() @ flat)
            for part in dparts:
                if part is not None:
                    mine = _at(part, here)
                    mine.add_(block.sum_to_size(mine.shape))
        return dx, *(None if d is None else d.to(dy.dtype) for d in (dweight, *dparts))

    @staticmethod
    def jvp(ctx, dx: Tensor | None, dweight: Tensor | None, *dparts: Tensor | None) -> Tensor:
        x, weight = ctx.saved_tensors
        dy = x.new_zeros(*x.shape[:-1], weight.shape[1])
        for change in (
            None if dx is None else dx @ weight,
            None if dweight is None else x @ dweight,
            *dparts,
        ):
            dy = dy if change is None else dy + change
        return dy

    @staticmethod
    def vmap(info, in_dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[Tensor, int]:
        return torch.vmap(_plain_mix, in_dims)(*inputs), 0


torch.fx.wrap("_mix")
'''

PRODUCT = '''
def _mix(x: Tensor, weight: Tensor) -> Tensor:
    """`x @ weight`, for large `x`."""
    return x @ weight


torch.fx.wrap("_mix")
'''

MEANS = '''
def _means(x: Tensor, *dims: int) -> tuple[Tensor, ...]:
    """Means over one axis each."""
    if not (_by_blocks(x) and x.is_contiguous()):
        return tuple(x.mean(dim) for dim in dims)
    stream = _Stream(dims)
    return tuple(_Mean.apply(x, dim, stream) for dim in dims)


class _Stream:
    """Means over several axes, all taken in one pass over memory as the first is asked for."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        self.dims = dims
        self.means: dict[int, Tensor] = {}

    def mean(self, x: Tensor, dim: int) -> Tensor:
        if not self.means:
            for d in self.dims:
                shape = (*x.shape[:d], *x.shape[d + 1 :])
                self.means.update({d: x.new_zeros(shape, dtype=_exact(x))})
            for here in _blocks(x):
                for d, total in self.means.items():
                    total[here[:1] if d == 1 else here].add_(_sum(x[here], d))
        return (self.means[dim] / x.shape[dim]).to(x.dtype)


def _sum(x: Tensor, dim: int) -> Tensor:
    """The sum over one axis as a product with ones, which reads as fast as memory."""
    flat = x.flatten(dim + 1).flatten(0, dim - 1)
    ones = x.new_ones(1, 1, x.shape[dim]).expand(len(flat), 1, -1)
    return torch.bmm(ones, flat).view(*x.shape[:dim], *x.shape[dim + 1 :])


class _Mean(torch.autograd.Function):
    """A mean that a stream has taken; its derivative is only a view."""

    @staticmethod
    def forward(x: Tensor, dim: int, stream: _Stream) -> Tensor:
        return stream.mean(x, dim)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        x, ctx.dim, _ = inputs
        ctx.shape = x.shape

    @staticmethod
    def backward(ctx, dy: Tensor) -> tuple[Tensor, None, None]:
        return (dy / ctx.shape[ctx.dim]).unsqueeze(ctx.dim).expand(ctx.shape), None, None

    @staticmethod
    def jvp(ctx, dx: Tensor, *_: None) -> Tensor:
        return dx.mean(ctx.dim)

    @staticmethod
    def vmap(info, in_dims: tuple[int, None, None], x: Tensor, dim: int, _: _Stream) -> tuple[Tensor, int]:
        return x.movedim(in_dims[0], 0).mean(dim + 1), 0


torch.fx.wrap("_means")
'''

MEAN = '''
def _mean(x: Tensor, dim: int) -> Tensor:
    """The mean over one axis."""
    (mean,) = _means(x, dim)
    return mean


torch.fx.wrap("_mean")
'''
