"""Two networks trained apart, brought to the same order of neurons: the loss between them.

    python examples/match_networks.py [--widths 32 128 512] [--epochs 60]

Perceptrons 64-w-w-10 with ReLU are trained on scikit-learn's digits from different seeds. On the straight
line from one to the other the loss rises: their neurons stand in different orders, at different scales.
`qe.align` finds an element g of the group that brings the second close to the first; the second is the same
function as before, and the line to it is another. The *barrier* is how far the loss on the line rises above
the line between the losses at its ends (Frankle et al., arXiv:1912.05671). For wide perceptrons it is known
to vanish after matching (Ainsworth, Hayase and Srinivasa, "Git Re-Basin", arXiv:2209.04836).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import qecompile as qe

Weights = dict[str, Tensor]

SPEC = """
spec mlp(width: int = 128) {
  space pixel = 64    : fixed
  space h[1]  = width : permute * scale
  space h[2]  = width : permute * scale
  space digit = 10    : fixed
  param W[1] : h[1]  <- pixel   param b[1] : h[1]
  param W[2] : h[2]  <- h[1]    param b[2] : h[2]
  param W[3] : digit <- h[2]    param b[3] : digit
}
"""


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training pixels and digits, then those held out."""
    pixels, labels = load_digits(return_X_y=True)
    parts = train_test_split(pixels / 16, labels, test_size=0.25, random_state=0, stratify=labels)
    x, x_test, y, y_test = (torch.as_tensor(part) for part in parts)
    return x.float(), y, x_test.float(), y_test


def train(width: int, seed: int, epochs: int, x: Tensor, y: Tensor) -> Weights:
    """The weights of one network, by name in the spec."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            optimiser.step()
    layers = [net[0], net[2], net[4]]
    named = {
        f"{kind}[{k + 1}]": t
        for k, layer in enumerate(layers)
        for kind, t in zip("Wb", layer.parameters(), strict=True)
    }
    return {name: t.detach() for name, t in named.items()}


def network(theta: Weights, x: Tensor) -> Tensor:
    """The logits."""
    for k in (1, 2):
        x = F.relu(F.linear(x, theta[f"W[{k}]"], theta[f"b[{k}]"]))
    return F.linear(x, theta["W[3]"], theta["b[3]"])


def losses(a: Weights, b: Weights, x: Tensor, y: Tensor, steps: int = 21) -> list[float]:
    """The loss at points of the line from a to b."""
    points = torch.linspace(0, 1, steps).tolist()
    lines = ({name: torch.lerp(a[name], b[name], t) for name in a} for t in points)
    return [float(F.cross_entropy(network(theta, x), y)) for theta in lines]


def barrier(values: Sequence[float]) -> float:
    """How far losses on a line rise above the straight line between those at its ends."""
    count = len(values) - 1
    ends = [values[0] + (values[-1] - values[0]) * k / count for k in range(count + 1)]
    return max(value - end for value, end in zip(values, ends, strict=True))


def experiment(widths: Sequence[int], epochs: int) -> Iterator[tuple[int, float, float, float]]:
    """For each width: the barrier before and after, and the largest change of a logit by g."""
    x, y, x_test, y_test = digits()
    for width in widths:
        spec = qe.parse(SPEC, width=width)
        a, b = (train(width, seed, epochs, x, y) for seed in (0, 1))
        found = qe.align(spec, a, b)
        aligned = qe.Group(spec).act(found.element, b)
        change = float((network(aligned, x_test) - network(b, x_test)).abs().max())
        yield (
            width,
            barrier(losses(a, b, x_test, y_test)),
            barrier(losses(a, aligned, x_test, y_test)),
            change,
        )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    print(f"{'width':>6}  {'barrier before':>14}  {'after':>8}  {'largest change of a logit':>25}")
    for width, before, after, change in experiment(options.widths, options.epochs):
        print(f"{width:>6}  {before:>14.3f}  {after:>8.3f}  {change:>25.1e}")


if __name__ == "__main__":
    main()
