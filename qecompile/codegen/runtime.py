"""The small helper functions that emitted files carry with them, as source text."""

from __future__ import annotations

CHECK = '''
def _check(x: dict[str, Tensor], channels: int | None, like: Tensor) -> dict[str, Tensor]:
    """Give back `x` if every tensor is there with its shape and dtype, else say which one is not."""
    if not isinstance(x, dict):
        raise TypeError(f"expected a dict of tensors by parameter name, got {type(x).__name__}")
    batch = None
    for name, shape in SHAPES.items():
        if name not in x:
            raise KeyError(f"parameter {name} of shape {list(shape)} is missing; given: {sorted(x)}")
        if not isinstance(x[name], Tensor):
            raise TypeError(f"parameter {name} must be a tensor, got {type(x[name]).__name__}")
        tail = shape if channels is None else (*shape, channels)
        if x[name].dim() != len(tail) + 1 or tuple(x[name].shape[1:]) != tail:
            wanted = ", ".join(map(str, ("B", *tail)))
            raise ValueError(f"parameter {name}: expected shape [{wanted}], got {list(x[name].shape)}")
        batch = x[name].shape[0] if batch is None else batch
        if x[name].shape[0] != batch:
            wanted, given = [batch, *tail], list(x[name].shape)
            raise ValueError(f"parameter {name}: expected the batch of the others, {wanted}, got {given}")
        mixed = torch.is_autocast_enabled(x[name].device.type) and x[name].dtype != torch.float64
        if x[name].dtype != like.dtype and not mixed:
            raise TypeError(
                f"parameter {name} of shape {list(x[name].shape)} is {x[name].dtype}; "
                f"the module, with {name} of shape {list(shape)}, is {like.dtype}"
            )
    return x


torch.fx.wrap("_check")  # a leaf of a symbolic trace: it looks at shapes
'''

FILL = '''
def _fill(
    weight: Tensor,
    in_channels: int,
    rows: list[tuple[int, bool]],
    columns: list[tuple[int, float, float]],
    allowed: list[str] | None = None,
) -> None:
    """Draw a type's matrix. Rows: (multiplicity, plain); columns: (multiplicity, main, other variance).

    A weight between a plain row and a column has that column's main variance, where it has one, and
    its other variance elsewhere, divided by the number of input channels. With `allowed`, the weights
    are those of the marked entries, in their order.
    """
    options = {"device": weight.device, "dtype": weight.dtype}
    plain = torch.cat([torch.full((size,), float(p), **options) for size, p in rows])[:, None]
    main = torch.cat([torch.full((size,), float(m), **options) for size, m, _ in columns])
    other = torch.cat([torch.full((size,), float(o), **options) for size, _, o in columns])
    is_main = plain * (main > 0)
    std = ((is_main * main + (1 - is_main) * other) / in_channels).sqrt()
    with torch.no_grad():
        weight.normal_()
        if allowed is None:
            inner, outer = weight.shape[-2] // std.shape[0], weight.shape[-1] // std.shape[1]
            weight.mul_(std.repeat_interleave(inner, 0).repeat_interleave(outer, 1))
        else:
            marks = enumerate("".join(allowed))
            place = [k % std.numel() for k, mark in marks if mark == "x"]
            weight.mul_(std.flatten()[torch.tensor(place, device=weight.device), None, None])
'''

MASKED = '''
def _numbered(rows: list[str], device: torch.device | str | None) -> Tensor:
    """The number of each allowed entry, row by row; disallowed ones get the next number."""
    allowed = torch.tensor([mark == "x" for row in rows for mark in row], device=device)
    return torch.where(allowed, allowed.cumsum(0) - 1, allowed.sum())


def _assemble(
    weight: Tensor, index: Tensor, own: tuple[int, ...], height: int, width: int
) -> Tensor:
    """Put weights [count, C, n] at their places in matrices [*own, height * C, width * n]."""
    channels, n = weight.shape[1:]
    full = torch.cat((weight, weight.new_zeros(1, channels, n)))[index]
    full = full.view(*own, height, width, channels, n).transpose(-3, -2)
    return full.reshape(*own, height * channels, width * n)
'''

COSINES = '''
def _cosines(
    size: int, count: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """Position codes [size, count]: the first cosines (DCT-II), each of mean square 1."""
    place = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    codes = torch.cos(math.pi * place[:, None] * torch.arange(count, dtype=torch.float64))
    codes[:, 1:] *= math.sqrt(2.0)
    return codes.to(device=device, dtype=dtype or torch.get_default_dtype())
'''

LEVI_CIVITA = '''
def _levi_civita(
    size: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """The totally antisymmetric tensor with `size` indices of `size` values."""
    tensor = torch.zeros([size] * size, device=device, dtype=dtype)
    for image in itertools.permutations(range(size)):
        inversions = sum(image[i] > image[j] for j in range(size) for i in range(j))
        tensor[image] = (-1.0) ** inversions
    return tensor
'''
