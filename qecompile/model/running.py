"""How the user's network is run: in float64, by operators that have all derivatives."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode


class _PlainNorms(TorchFunctionMode):
    """Batch norm in plain operators: torch's own has no derivative by the running mean and variance."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is nn.functional.batch_norm:
            found = _NORM_ARGUMENTS.bind(*args, **(kwargs or {}))
            found.apply_defaults()
            if found.arguments["running_mean"] is not None and not found.arguments["training"]:
                return _batch_norm(**found.arguments)
        return func(*args, **(kwargs or {}))


_NORM_ARGUMENTS = inspect.signature(nn.functional.batch_norm)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    **_: object,
) -> Tensor:
    across = (1, -1, *[1] * (input.dim() - 2))
    y = (input - running_mean.view(across)) / (running_var.view(across) + eps).sqrt()
    y = y if weight is None else y * weight.view(across)
    return y if bias is None else y + bias.view(across)


@contextmanager
def running() -> Iterator[None]:
    """Float64 as the default, and norms and attention in plain operators, which have all derivatives."""
    dtype, fast = torch.get_default_dtype(), torch.backends.mha.get_fastpath_enabled()
    torch.set_default_dtype(torch.float64)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), _PlainNorms():
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.backends.mha.set_fastpath_enabled(fast)
