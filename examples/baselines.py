"""Two networks that read weights and know nothing of their symmetries, to compare the emitted one with.

`flat_mlp` reads the weights as one long vector. `statistics_mlp` reads seven statistics of each parameter
(Unterthiner et al., "Predicting Neural Network Accuracy from Weights", 2020): permuting neurons changes none
of them (the rows and columns of a parameter are only reordered), rescaling neurons changes them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

Weights = Mapping[str, Tensor]  # name -> [B, *shape]
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def flatten_weights(theta: Weights) -> Tensor:
    """All weights in one row a model, [B, number of weights]."""
    return torch.cat([w.flatten(1) for w in theta.values()], dim=1)


def weight_statistics(theta: Weights) -> Tensor:
    """The mean, variance and five quantiles of each parameter, [B, 7 * number of parameters]."""
    return torch.cat([_statistics(w.flatten(1)) for w in theta.values()], dim=1)


def _statistics(entries: Tensor) -> Tensor:
    """Seven statistics of each row: [B, n] -> [B, 7]."""
    quantiles = entries.quantile(torch.tensor(QUANTILES, dtype=entries.dtype), dim=1)
    return torch.cat([entries.mean(1)[None], entries.var(1, correction=0)[None], quantiles]).T


class FeatureMLP(nn.Module):
    """A plain MLP on standardised features of the weights; one output, [B, 1]."""

    def __init__(self, features: Callable[[Weights], Tensor], theta: Weights, hidden: int) -> None:
        """Fit the standardisation.

        Args:
            features: from weights, name -> [B, *shape], to features [B, F].
            theta: the training weights; each feature is centred and scaled by its spread over them.
            hidden: the width of the two hidden layers.
        """
        super().__init__()
        self.features = features
        values = features(theta)
        self.register_buffer("mean", values.mean(0))
        self.register_buffer("spread", values.std(0).clamp(min=1e-6))
        self.mlp = nn.Sequential(
            nn.Linear(values.shape[1], hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, theta: Weights) -> Tensor:
        """One number a model: name -> [B, *shape] gives [B, 1]."""
        return self.mlp((self.features(theta) - self.mean) / self.spread)


def flat_mlp(theta: Weights, hidden: int = 128) -> FeatureMLP:
    """A plain MLP on the flattened weights."""
    return FeatureMLP(flatten_weights, theta, hidden)


def statistics_mlp(theta: Weights, hidden: int = 128) -> FeatureMLP:
    """A plain MLP on the statistics of each parameter."""
    return FeatureMLP(weight_statistics, theta, hidden)
