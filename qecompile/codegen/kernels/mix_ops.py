"""How emitted files launch the kernels of a product with parts, as text: the tiles, and what autograd sees.

Sums that belong to several programs are written to slots and added in their order. Rows of x and parts may
lie anywhere as long as channels are neighbours; what does not fit the groups of axes is copied first.
"""

from __future__ import annotations

MIX = '''
class _Form(NamedTuple):
    """How parts lie in y = x @ weight + parts.

    `axes` are those of y, batch first, in groups that are walked as one axis; `parts` the groups that each
    part runs along.
    """

    axes: tuple[tuple[int, ...], ...]
    parts: tuple[tuple[int, ...], ...]
    forward: Callable
    backward: Callable


def _form(x: Tensor, parts: Sequence[Tensor]) -> _Form | None:
    """The form of a sum, by its shapes; a product alone is one of rows, wherever they lie."""
    if not parts:
        return PRODUCT._replace(axes=(tuple(range(x.dim() - 1)),)) if PRODUCT else None
    return FORMS.get(tuple(tuple(t.shape[1:-1]) for t in (x, *parts)))


def _steps(x: Tensor, groups: Sequence[tuple[int, ...]]) -> list[int] | None:
    """How far apart entries lie along each group of axes; None if a group is no single walk."""
    found = []
    for group in groups:
        axes = [k for k in group if x.shape[k] > 1]
        if any(x.stride(a) != x.stride(b) * x.shape[b] for a, b in itertools.pairwise(axes)):
            return None
        found.append(x.stride(axes[-1]) if axes else 0)
    return found if x.stride(-1) == 1 or x.shape[-1] == 1 else None


def _walked(x: Tensor, groups: Sequence[tuple[int, ...]]) -> tuple[Tensor, list[int]]:
    """The tensor, copied where it must be, and its steps."""
    steps = _steps(x, groups)
    if steps is None:
        x = x.contiguous()
        steps = _steps(x, groups)
    return x, steps


def _precision(x: Tensor) -> str:
    """How products are taken: exactly; tf32 where it is exact as well, or allowed."""
    exact = x.dtype != torch.float32 or torch.backends.cuda.matmul.fp32_precision == "tf32"
    return "tf32" if exact and x.device.type == "cuda" and torch.version.hip is None else "ieee"


def _mix_op(x: Tensor, weight: Tensor, parts: list[Tensor]) -> Tensor:
    """`x @ weight` plus parts."""
    if not _on_device(x):
        return _plain_mix(x, weight, *parts)
    f = _form(x, parts)
    channels, width = weight.shape
    y = x.new_empty(*x.shape[:-1], width)
    x, steps = _walked(x, f.axes)
    tensors = [x, weight.contiguous(), y]
    for part, span in zip(parts, f.parts, strict=True):
        part, more = _walked(part, [f.axes[k] for k in span])
        tensors.append(part)
        steps += more
    sizes = [math.prod(y.shape[k] for k in axes) for axes in f.axes]
    n = max(16, _up(width, 64))
    rows = math.prod(sizes)
    _launch(
        f.forward,
        (-(-rows // 64), -(-width // n)),
        *(*tensors, rows, *sizes[1:], *steps),
        **{"C": channels, "N": width, "ROWS": 64, "BLOCK_C": 16, "BLOCK_N": n},
        PRECISION=_precision(x),
        num_warps=4 if n <= 32 else 8,
    )
    return y


def _mix_backward_op(
    x: Tensor,
    weight: Tensor,
    parts: list[Tensor],
    dy: Tensor,
    need_x: bool,
    need_w: bool,
    need_parts: bool,
) -> list[Tensor]:
    """Gradients of x, weight and every part; what is not needed, or is dy, has no entries."""
    launches = _on_device(dy)
    fused = launches and max(weight.shape) <= 32  # larger products are for torch
    found = [dy.new_empty(0) for _ in range(2 + len(parts))]
    if fused or (launches and need_parts):
        f = _form(x, parts)
        return _launch_backward(x, weight, dy, f, found, (need_x, need_w, need_parts), fused)
    if need_x:
        found[0] = dy @ weight.t()
    if need_w:
        found[1] = x.flatten(0, -2).t() @ dy.flatten(0, -2)
    if need_parts:
        sums = [part.shape != dy.shape for part in parts]
        pairs = zip(sums, found[2:], parts, strict=True)
        found[2:] = [dy.sum_to_size(p.shape).clone() if small else d for small, d, p in pairs]
    return found


def _part_shapes(y: Tensor, f: _Form) -> list[list[int]]:
    """The shape of every part that is broadcast to y."""
    return [
        [y.shape[j] if k in part else 1 for k, axes in enumerate(f.axes) for j in axes] + [y.shape[-1]]
        for part in f.parts
    ]


def _tiles(sizes: list[int], room: int) -> tuple[list[int], list[int], int]:
    """Tiles of `room` rows: their sides, how many lie along each axis, and how many one program walks."""
    tile = [_up(sizes[-1], 4)]
    for size in reversed(sizes[:-1]):
        tile.insert(0, _up(size, room // math.prod(tile)))
    tile[0] *= room // math.prod(tile)
    counts = [-(-size // side) for size, side in zip(sizes, tile, strict=True)]
    walk = min(counts[-1], 16)
    counts[-1] = -(-counts[-1] // walk)
    return tile, counts, walk


def _launch_backward(
    x: Tensor,
    weight: Tensor,
    dy: Tensor,
    f: _Form,
    found: list[Tensor],
    needs: tuple[bool, bool, bool],
    fused: bool,
) -> list[Tensor]:
    """`_mix_backward_op` by the kernel; beyond a few channels it only adds up the parts."""
    channels, width = weight.shape
    need_x, need_w, need_parts = needs
    if not fused:
        found[0] = dy @ weight.t() if need_x else found[0]
        found[1] = x.flatten(0, -2).t() @ dy.flatten(0, -2) if need_w else found[1]
    dy = dy.contiguous()
    x, steps = _walked(x, f.axes)
    sizes = [math.prod(dy.shape[k] for k in axes) for axes in f.axes]
    tile, counts, walk = _tiles(sizes, 32)
    scratch = {"dtype": torch.float32, "device": dy.device}
    dx, dx_steps, dweight = found[0], steps, found[1]
    if fused and need_x:
        dx = torch.empty_like(x)
        dx_steps = _steps(dx, f.axes)
        if dx_steps is None:
            dx = torch.empty_like(x, memory_format=torch.contiguous_format)
            dx_steps = _steps(dx, f.axes)
    if fused and need_w:  # one slot a program
        dweight = torch.empty(math.prod(counts), channels, width, **scratch)
    summed = [k for k, part in enumerate(f.parts) if len(part) < len(sizes)]
    slots = [found[2 + k] for k in summed]
    if need_parts:  # one slot for each tile along the axes that the part does not run along
        slots = [
            torch.empty(
                math.prod(n for k, n in enumerate(counts) if k not in f.parts[j]),
                math.prod(sizes[k] for k in f.parts[j]),
                width,
                **scratch,
            )
            for j in summed
        ]
    n = max(16, _up(width, 32))
    _launch(
        f.backward,
        (math.prod(counts), -(-width // n)),
        *(x, weight.contiguous(), dy, dx, dweight, *slots),
        *(*sizes, *steps, *dx_steps),
        *(channels, width, *tile),
        STEPS=walk,
        BLOCK_C=max(16, _up(channels, 32)),
        BLOCK_N=n,
        NEED_X=fused and need_x,
        NEED_W=fused and need_w,
        NEED_PARTS=need_parts,
        PRECISION=_precision(x),
        num_warps=4 if x.dtype == torch.float32 and max(weight.shape) <= 16 else 8,
    )
    if fused and need_w:
        dweight = dweight.sum(0).to(dy.dtype)
    if need_parts:
        shapes = _part_shapes(dy, f)
        for j, slot in zip(summed, slots, strict=True):
            found[2 + j] = slot.sum(0).to(dy.dtype).view(shapes[j])
    return [dx, dweight, *found[2:]]


def _save_mix(ctx, inputs, output) -> None:
    x, weight, parts = inputs
    ctx.save_for_backward(x, weight, *parts)


def _mix_gradient(ctx, dy: Tensor):
    """One launch; in plain torch where these gradients are to be differentiated themselves."""
    x, weight, *parts = ctx.saved_tensors
    need_x, need_w, need_parts = ctx.needs_input_grad
    if torch.is_grad_enabled():
        dx, dweight = dy @ weight.t(), x.flatten(0, -2).t() @ dy.flatten(0, -2)
        dparts = [dy.sum_to_size(part.shape) for part in parts]
    else:
        needs = need_x, need_w, any(need_parts)
        dx, dweight, *dparts = torch.ops.{library}.mix_backward(x, weight, parts, dy, *needs)
        dparts = [dy if p.shape == dy.shape else d for p, d in zip(parts, dparts, strict=True)]
    dparts = [d if need else None for d, need in zip(dparts, need_parts, strict=True)]
    return dx if need_x else None, dweight if need_w else None, dparts


def _register_mix() -> None:
    mix = torch.library.triton_op("{library}::mix", _mix_op, mutates_args=())
    mix.register_autograd(_mix_gradient, setup_context=_save_mix)
    torch.library.triton_op("{library}::mix_backward", _mix_backward_op, mutates_args=())


REGISTER.append(_register_mix)
_mix_by_torch = _mix


def _mix(x: Tensor, weight: Tensor, *parts: Tensor) -> Tensor:  # noqa: F811
    """`x @ weight` plus all parts, which are broadcast."""
    if _launches(x, weight, *parts) and _form(x, parts) and _register():
        return torch.ops.{library}.mix(x, weight, parts) if parts else _multiplied(x, weight)
    return _mix_by_torch(x, weight, *parts)


def _multiplied(x: Tensor, weight: Tensor) -> Tensor:
    """`x @ weight`, row by row as they lie in memory; products of many channels are for torch."""
    if max(weight.shape) > 64:
        return _mix_by_torch(x, weight)
    order = sorted(range(x.dim() - 1), key=lambda k: -x.stride(k))
    back = [order.index(k) for k in range(len(order))]
    y = torch.ops.{library}.mix(x.permute(*order, -1), weight, [])
    return y.permute(*back, -1)
'''

PLAIN = """
def _plain_mix(x: Tensor, weight: Tensor, *parts: Tensor) -> Tensor:
    y = x @ weight
    for part in parts:
        y = y + part
    return y
"""
