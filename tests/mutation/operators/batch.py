"""The batch: one network must not see another."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..shapes import Module
from ..source import Change
from .base import operator, text_of, values


def _batch(name: str, text: Callable[[str], str], mistake: str) -> None:
    """Register an operator that mixes the entries of a batch."""

    def propose(m: Module) -> Iterator[Change]:
        for scope, node in values(m):
            yield m.change(scope, node, text(text_of(m, node)))

    propose.__doc__ = mistake
    operator(name)(propose)


_batch("flip the batch", lambda x: f"{x}.flip(0)", "The batch comes back in another order.")
_batch("roll the batch", lambda x: f"{x}.roll(1, 0)", "Every network gets the next one's features.")
_batch(
    "batch mean",
    lambda x: f"{x} - {x}.mean(0, keepdim=True)",
    "The mean of the batch is subtracted, as in a batch norm.",
)
_batch("first of the batch", lambda x: f"{x}[:1].expand_as({x})", "The first network stands for all of them.")
_batch("sort the batch", lambda x: f"{x}.sort(0).values", "The batch is sorted, entry by entry.")
_batch(
    "ramp along the batch",
    lambda x: f"{x} * torch.arange(1.0, {x}.shape[0] + 1.0).view(-1, *[1] * ({x}.dim() - 1))",
    "What a network gets depends on its place in the batch.",
)
_batch("running batch sum", lambda x: f"{x}.cumsum(0)", "Sums run along the batch.")
