"""One pair of kernels at many sizes, channel counts, dtypes and layouts; imported by `interpreted.py` alone.

A kernel takes sizes at run time, so that of a small spec serves for all. Each check gives its largest error
in units of what the dtype of its tensors allows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

SIZES = [(1, 1, 1), (2, 3, 10), (3, 70, 9), (1, 2, 784)]
CHANNELS = [(1, 1), (1, 16), (16, 1), (3, 5), (16, 16), (20, 32), (33, 70), (64, 64), (256, 256)]
ALLOWED = {torch.float32: 1e-5, torch.bfloat16: 2**-7, torch.float16: 2**-10}


def draw(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def arguments(size: tuple[int, int, int], channels: tuple[int, int], dtype: torch.dtype) -> list[Tensor]:
    """x, weight and both parts for `matrix`: W [B, b, a] gets a part along a and one along b."""
    (batch, b, a), (c, n) = size, channels
    shapes = [(batch, b, a, c), (c, n), (batch, 1, a, n), (batch, b, 1, n)]
    found = [draw(*shape, dtype=dtype, seed=k) for k, shape in enumerate(shapes)]
    found[1] /= c**0.5
    return found


def gradients(function: Callable[..., Any], tensors: list[Tensor], dy: Any) -> list[Tensor]:
    """The values and the gradient of every argument."""
    tensors = [t.detach().requires_grad_() for t in tensors]
    y, dy = ([t] if isinstance(t, Tensor) else list(t) for t in (function(*tensors), dy))
    return [*(t.detach() for t in y), *torch.autograd.grad(y, tensors, dy)]


def excess(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest error relative to the largest value, over what the dtype allows."""
    largest = 0.0
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        gap = (a.double() - b).abs().max() / b.abs().max().clamp(min=1) / ALLOWED[a.dtype]
        largest = max(largest, float(gap.nan_to_num(nan=torch.inf)))
    return largest


def compare(kernel: Callable[..., Any], plain: Callable[..., Any], tensors: list[Tensor], dy: Any) -> float:
    """Kernels against the formula in float64."""
    exact = dy.double() if isinstance(dy, Tensor) else [t.double() for t in dy]
    expected = gradients(plain, [t.double() for t in tensors], exact)
    return excess(gradients(kernel, tensors, dy), expected)


def mix_of(module: ModuleType) -> Callable[..., Tensor]:
    """`_mix` of a file for one matrix, at any size: kernels take sizes at run time."""
    form = next(iter(module.FORMS.values()))

    def mix(x: Tensor, weight: Tensor, *parts: Tensor) -> Tensor:
        shapes = tuple(tuple(t.shape[1:-1]) for t in (x, *parts))
        module.FORMS[shapes] = form
        return module._mix(x, weight, *parts)

    return mix


def advances(module: ModuleType) -> Iterator[tuple[str, float]]:
    """What is handed on from layer to layer, at many sizes, with and without parts."""
    module._register()
    s = module.STACK["W"]
    assert s.parts == ((0, 2), (0, 1))

    def advance(full: Tensor, weight: Tensor, *parts: Tensor) -> list[Tensor]:
        return library_of(module).advance(full, weight, list(parts), "W", bool(parts))

    def plain(full: Tensor, weight: Tensor, *parts: Tensor) -> list[Tensor]:
        return module._plain_advance(full, weight, parts, s, bool(parts))

    few = [(1, 1), (3, 5), (16, 16), (20, 32), (16, 1)]
    some = [(size, (3, 5)) for size in SIZES] + [((2, 3, 10), pair) for pair in few]
    for (size, (c, n)), dtype, deferred in product(some, ALLOWED, (True, False)):
        full, weight, *_ = arguments(size, (c, n), dtype)
        parts = arguments(size, (n, c), dtype)[2:] if deferred else []
        dys = [draw(*y.shape, dtype=dtype, seed=9 + k) for k, y in enumerate(plain(full, weight, *parts))]
        yield (
            f"advance {size} {c, n} {dtype} {deferred}",
            compare(advance, plain, [full, weight, *parts], dys),
        )


def library_of(module: ModuleType) -> Any:
    """The operators of an emitted file."""
    name = Path(module.__file__ or "").read_text().split("torch.ops.", 1)[1].split(".", 1)[0]
    return getattr(torch.ops, name)


def variants(module: ModuleType) -> Iterator[tuple[str, float]]:
    """Every check with its name and its error, 1 being the most that is allowed."""

    mix = mix_of(module)

    def compared(tensors: list[Tensor], kernel: Callable[..., Tensor] = mix) -> float:
        dy = draw(*tensors[0].shape[:-1], tensors[1].shape[1], dtype=tensors[0].dtype, seed=9)
        return compare(kernel, module._plain_mix, tensors, dy)

    some = [(size, (3, 5)) for size in SIZES] + [((2, 3, 10), pair) for pair in CHANNELS]
    for (size, pair), dtype in product(some, ALLOWED):
        yield f"mix {size} {pair} {dtype}", compared(arguments(size, pair, dtype))

    x, weight, along_a, along_b = arguments((2, 3, 10), (4, 6), torch.float32)
    for (size, pair), dtype in product([*some[:4], *(((2, 3, 10), p) for p in CHANNELS[:-1])], ALLOWED):
        tensors = arguments(size, pair, dtype)[:2]
        yield f"product {size} {pair} {dtype}", compared(tensors, module._mix)
    wide = draw(2, 3, 10, 12)
    for name, tensor in {
        "permuted": draw(10, 2, 3, 4).permute(1, 2, 0, 3),
        "slices": wide[..., 5:9],
        "every other channel": wide[..., ::3],
        "expanded": x[:, :1].expand(2, 3, 10, 4),
    }.items():
        yield f"product of {name}", compared([tensor, weight], module._mix)
    layouts = {
        "permuted": [draw(2, 10, 3, 4).transpose(1, 2), weight, along_a, along_b],
        "slices": [wide[..., 5:9], weight, along_a, wide[:, :, :1, 3:9]],
        "every other channel": [wide[..., ::3], weight, along_a, wide[:, :, :1, ::2]],
        "expanded": [x[:1].expand(2, 3, 10, 4), weight.t().contiguous().t(), along_a, along_b],
    }
    for name, tensors in layouts.items():
        yield f"mix of {name}", compared(tensors)
    turned = draw(2, 10, 3, 6).transpose(1, 2)
    yield "a gradient that is permuted", compare(mix, module._plain_mix, layouts["permuted"], turned)
    yield (
        "only the weight's gradient",
        excess(
            list(torch.autograd.grad(mix(x, weight.requires_grad_(), along_a, along_b).sum(), weight)),
            [x.double().sum((0, 1, 2))[:, None].expand(4, 6)],
        ),
    )

    shapes = [(2, 784, 3), (3, 10, 5), (1, 300, 3, 3, 2), (40, 3, 3, 1), (2, 5000, 1)]
    for shape, dtype in product(shapes, ALLOWED):
        for dim in range(1, len(shape) - 1):
            x = draw(*shape, dtype=dtype)
            dy = draw(*shape[:dim], *shape[dim + 1 :], dtype=dtype, seed=1)
            yield (
                f"mean {shape} {dim} {dtype}",
                compare(lambda x, dim=dim: module._means(x, dim)[0], lambda x, dim=dim: x.mean(dim), [x], dy),
            )

    shapes = [(2, 784, 3, 5), (1, 70, 300, 2), (2, 3, 10, 4, 33), (1, 5, 1, 7, 1), (3, 1, 2, 2, 100)]
    for shape, dtype in product(shapes, ALLOWED):
        for dims in itertools.permutations(range(1, len(shape) - 1), min(3, len(shape) - 2)):
            x = draw(*shape, dtype=dtype)
            dy = [draw(*shape[:d], *shape[d + 1 :], dtype=dtype, seed=d) for d in dims]
            yield (
                f"means {shape} {dims} {dtype}",
                compare(
                    lambda x, dims=dims: module._means(x, *dims),
                    lambda x, dims=dims: [x.mean(d) for d in dims],
                    [x],
                    dy,
                ),
            )


def repeats(module: ModuleType) -> bool:
    """Whether a second run gives the same bits."""
    tensors = arguments((2, 70, 9), (16, 16), torch.float32)
    dy = draw(2, 70, 9, 16, seed=9)
    first, second = (gradients(mix_of(module), tensors, dy) for _ in range(2))
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
