"""Running a module in a dtype that is not its own, with weights that are not its own, without changing it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from qecompile.verify.export import eval_mode


def as_function(
    module: nn.Module, dtype: torch.dtype, noise: int | None = None
) -> Callable[[dict[str, Tensor]], object]:
    """The module as a function of its input, in eval mode, on copies of its tensors.

    Args:
        module: left as it is.
        dtype: of the floating tensors among the copies; what the module makes of no tensor is of it too.
        noise: a seed; normal numbers are then added to the parameters, so that no weight is zero, or one, or
            equal to another.
    """
    generator = torch.Generator().manual_seed(noise or 0)
    state = {name: _cast(t.detach(), dtype) for name, t in module.named_buffers()}
    for name, p in module.named_parameters():
        state[name] = _cast(p.detach(), dtype)
        if noise is not None and p.is_floating_point():
            width = max(1, p[0].numel()) if p.dim() and p.shape[0] else 1
            drawn = torch.randn(p.shape, generator=generator, dtype=torch.float64) / width**0.5
            state[name] = state[name] + drawn.to(device=p.device, dtype=dtype)

    def run(theta: dict[str, Tensor]) -> object:
        before = torch.get_default_dtype()
        try:
            torch.set_default_dtype(dtype)
            with eval_mode(module):
                return torch.func.functional_call(module, state, (theta,))
        finally:
            torch.set_default_dtype(before)

    return run


def _cast(t: Tensor, dtype: torch.dtype) -> Tensor:
    return t.to(dtype) if t.is_floating_point() else t.clone()
