"""Augmentation: weights replaced by others of the same function, as a transform of a dataset.

A network that is not equivariant can be taught the symmetry by examples; one that is can be tested with them.
Both classes draw from torch's own random numbers, so that `torch.manual_seed` fixes what they do and workers
of a `DataLoader`, which torch seeds apart, do different things.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from qecompile.groups import Group
from qecompile.spec import Spec


class RandomElement:
    """A transform: a random element of the group of a spec acts on weights, another one each time.

    >>> from qecompile import parse
    >>> turn = RandomElement(parse("spec s { space h = 3 : permute  param b : h }"))
    >>> sorted(turn({"b": torch.tensor([1.0, 2.0, 3.0])})["b"].tolist())
    [1.0, 2.0, 3.0]
    """

    def __init__(self, spec: Spec, *, scale: float = 1.0) -> None:
        """Args: the spec; `scale` bounds the logarithms of random scales, as in `Group.sample`."""
        self.group, self.scale = Group(spec), scale
        self.group.sample(torch.Generator().manual_seed(0), scale=scale)  # refuses a wrong scale now

    def __call__(self, theta: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights [batch..., *shape] by name of parameter to weights of the same function.

        Raises:
            ValueError: they do not fit the spec; see `Group.act`.
        """
        seed = int(torch.randint(2**62, ()))
        element = self.group.sample(torch.Generator().manual_seed(seed), scale=self.scale)
        return self.group.act(element, theta)


class Augmented(Dataset[Any]):
    """A dataset of weights, or of tuples that begin with weights, under a random element at every access.

    Args:
        dataset: items are dicts of tensors by name of parameter, or tuples whose first entry is one.
        spec: the spec of the weights.
        scale: see `RandomElement`.
    """

    def __init__(self, dataset: Dataset[Any], spec: Spec, *, scale: float = 1.0) -> None:
        self.dataset, self.transform = dataset, RandomElement(spec, scale=scale)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        item = self.dataset[index]
        if isinstance(item, Mapping):
            return self.transform(item)
        theta, *rest = item
        return (self.transform(theta), *rest)
