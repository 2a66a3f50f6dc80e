"""The operator that takes a sum on to the next layer without writing it, as text.

`_advance` takes `full` and parts, and gives the product and the means that the next layer reads of f(sum). It
is an operator with a derivative, as `_mix` is, and plain torch on the same conditions.
"""

from __future__ import annotations

STACK = '''
class _Stacked(NamedTuple):
    """A parameter whose sums stay apart between layers; `axes` and `parts` are as in `_Form`.

    `weight` is the layer's matrix for it, `slope` the derivative of the activation x of u; `dims` are the
    dimensions of each mean, and `means` the groups of axes that it keeps.
    """

    weight: str
    activation: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]
    axes: tuple[tuple[int, ...], ...]
    parts: tuple[tuple[int, ...], ...]
    means: tuple[tuple[int, ...], ...]
    dims: tuple[tuple[int, ...], ...]
    forward: Callable
    backward: Callable


def _plain_advance(
    full: Tensor, weight: Tensor, parts: Sequence[Tensor], s: _Stacked, active: bool
) -> list[Tensor]:
    """What `_advance_op` gives, in plain torch."""
    x = full
    for part in parts:
        x = x + part
    x = s.activation(x) if active else x
    return [x @ weight, *(x.mean(dims) for dims in s.dims)]


def _plain_advance_backward(
    full: Tensor,
    weight: Tensor,
    parts: Sequence[Tensor],
    dys: Sequence[Tensor],
    s: _Stacked,
    active: bool,
) -> list[Tensor]:
    """Gradients of full, weight and parts, in plain torch."""
    u = full
    for part in parts:
        u = u + part
    x = s.activation(u) if active else u
    dx = dys[0] @ weight.t()
    for dy, dims in zip(dys[1:], s.dims, strict=True):
        shape = [1 if k in dims else n for k, n in enumerate(full.shape)]
        dx = dx + dy.reshape(shape) / math.prod(full.shape[k] for k in dims)
    dx = dx * s.slope(u, x) if active else dx
    dweight = x.flatten(0, -2).t() @ dys[0].flatten(0, -2)
    return [dx, dweight, *(dx.sum_to_size(part.shape) for part in parts)]


def _slots(sizes: list[int], counts: list[int], span: tuple[int, ...], width: int, x: Tensor) -> Tensor:
    """Memory for sums along some groups: a slot for each tile along the others."""
    slots = math.prod(count for k, count in enumerate(counts) if k not in span)
    rows = math.prod(sizes[k] for k in span)
    return torch.empty(slots, rows, width, dtype=torch.float32, device=x.device)


def _read_parts(full: Tensor, parts: list[Tensor], s: _Stacked) -> tuple[list[Tensor], list[int]]:
    """Parts with their steps; `full` for each where there are none."""
    tensors, steps = [], []
    for k, span in enumerate(s.parts):
        part, more = _walked(parts[k], [s.axes[j] for j in span]) if parts else (full, [0] * len(span))
        tensors.append(part)
        steps += more
    return tensors, steps


def _advance_op(
    full: Tensor, weight: Tensor, parts: list[Tensor], name: str, active: bool
) -> list[Tensor]:
    """The product and the means of f(full + parts) if `active`, else of `full`, which has no parts."""
    s = STACK[name]
    if not _on_device(full):
        return _plain_advance(full, weight, parts, s, active)
    full = full.contiguous()
    channels, width = weight.shape
    sizes = [math.prod(full.shape[k] for k in axes) for axes in s.axes]
    tile, counts, walk = _tiles(sizes, 64 if channels <= 16 and width <= 16 else 32)
    y = full.new_empty(*full.shape[:-1], width)
    sums = [_slots(sizes, counts, span, channels, full) for span in s.means]
    tensors, steps = _read_parts(full, parts, s)
    _launch(
        s.forward,
        (math.prod(counts),),
        *(full, weight.contiguous(), *tensors, y, *sums, *sizes, *steps, channels, width, *tile),
        STEPS=walk,
        BLOCK_C=max(16, _up(channels, 32)),
        BLOCK_N=max(16, _up(width, 32)),
        DEFERRED=active,
        PRECISION=_precision(full),
        num_warps=4 if max(weight.shape) <= 16 else 8,
    )
    found = [y]
    for total, dims in zip(sums, s.dims, strict=True):
        shape = [n for k, n in enumerate(full.shape) if k not in dims]
        count = math.prod(full.shape[k] for k in dims)
        found.append((total.sum(0) / count).to(full.dtype).view(shape))
    return found


def _advance_backward_op(
    full: Tensor,
    weight: Tensor,
    parts: list[Tensor],
    dys: list[Tensor],
    name: str,
    active: bool,
    need_x: bool,
    need_w: bool,
) -> list[Tensor]:
    """Gradients of full, weight and parts; what is not needed has no entries."""
    s = STACK[name]
    none = [full.new_empty(0) for _ in range(2 + len(parts))]
    if not _on_device(full):
        found = _plain_advance_backward(full, weight, parts, dys, s, active)
        keep = [need_x, need_w, *[need_x] * len(parts)]
        return [g.clone() if k else n for g, k, n in zip(found, keep, none, strict=True)]
    full, dy = full.contiguous(), dys[0].contiguous()
    channels, width = weight.shape
    sizes = [math.prod(full.shape[k] for k in axes) for axes in s.axes]
    tile, counts, walk = _tiles(sizes, 32)
    dfull = torch.empty_like(full) if need_x else none[0]
    dweight = none[1]
    if need_w:
        dweight = torch.empty(math.prod(counts), channels, width, dtype=torch.float32, device=full.device)
    dmeans = [
        (dy.float() / math.prod(full.shape[k] for k in dims)).contiguous()
        for dy, dims in zip(dys[1:], s.dims, strict=True)
    ]
    sums = [_slots(sizes, counts, span, channels, full) if parts and need_x else full for span in s.parts]
    tensors, steps = _read_parts(full, parts, s)
    _launch(
        s.backward,
        (math.prod(counts),),
        *(full, weight.contiguous(), *tensors, dy, *dmeans, dfull, dweight, *sums),
        *(*sizes, *steps, channels, width, *tile),
        STEPS=walk,
        BLOCK_C=max(16, _up(channels, 32)),
        BLOCK_N=max(16, _up(width, 32)),
        DEFERRED=active,
        NEED_X=need_x,
        NEED_W=need_w,
        PRECISION=_precision(full),
        num_warps=4 if full.dtype == torch.float32 and max(weight.shape) <= 16 else 8,
    )
    dweight = dweight.sum(0).to(full.dtype) if need_w else dweight
    dparts = none[2:]
    if parts and need_x:
        pairs = zip(sums, parts, strict=True)
        dparts = [total.sum(0).to(full.dtype).view(part.shape) for total, part in pairs]
    return [dfull, dweight, *dparts]


def _save_advance(ctx, inputs, output) -> None:
    full, weight, parts, ctx.name, ctx.active = inputs
    ctx.save_for_backward(full, weight, *parts)
    ctx.outputs = [(y.shape, y.dtype, y.device) for y in output]


def _advance_gradient(ctx, dys: list[Tensor | None]):
    """One launch; in plain torch where these gradients are to be differentiated themselves."""
    full, weight, *parts = ctx.saved_tensors
    need_full, need_w, need_parts, *_ = ctx.needs_input_grad
    dys = [
        torch.zeros(shape, dtype=dtype, device=device) if dy is None else dy
        for dy, (shape, dtype, device) in zip(dys, ctx.outputs, strict=True)
    ]
    if torch.is_grad_enabled():
        given = [full, weight, *parts]
        wanted = [t for t in given if t.requires_grad]
        outputs = _plain_advance(full, weight, parts, STACK[ctx.name], ctx.active)
        found = iter(torch.autograd.grad(outputs, wanted, dys, create_graph=True))
        dfull, dweight, *dparts = (next(found) if t.requires_grad else None for t in given)
        return dfull, dweight, dparts, None, None
    need_x = need_full or any(need_parts)
    backward = torch.ops.{library}.advance_backward
    dfull, dweight, *dparts = backward(full, weight, parts, dys, ctx.name, ctx.active, need_x, need_w)
    dparts = [d if need else None for d, need in zip(dparts, need_parts, strict=True)]
    return dfull if need_full else None, dweight if need_w else None, dparts, None, None


def _register_advance() -> None:
    advance = torch.library.triton_op("{library}::advance", _advance_op, mutates_args=())
    advance.register_autograd(_advance_gradient, setup_context=_save_advance)
    torch.library.triton_op("{library}::advance_backward", _advance_backward_op, mutates_args=())


REGISTER.append(_register_advance)
'''
