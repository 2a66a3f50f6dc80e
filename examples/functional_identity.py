"""Equal functions, equal outputs: the experiment that would refute networks built from symmetry.

    python examples/functional_identity.py

Weights of a perceptron and of an attention block are replaced by others of the same function: a random
element of the group acts on them, with scales up to 10^4 and with GL matrices of condition number up to 10^6.
The emitted networks, without an alpha-map and with one of each family, must give both the same output.
Weights of *another* function must get another output, or there would be nothing to refute.

Every figure is the largest change of an output, relative to how much outputs differ between the networks of
the batch. The first column, `function`, is the yardstick: the same quotient for the outputs of the perceptron
or attention block itself, which are equal by algebra and not to the last bit. All group elements are drawn
and applied in float64; the weights are then rounded to the dtype of the row. The group is not approximate and
the emitted networks have no tolerance: what is printed is rounding.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import qecompile as qe
from qecompile.group_elements import Element, Part
from qecompile.spec import Spec

Weights = dict[str, Tensor]  # name in the spec -> [B, *shape]

METANETS = """
  metanet plain       { channels 1, 8, 8  readout invariant -> 6 }
  metanet shared      { channels 1, 8, 8  alpha shared()       readout invariant -> 6 }
  metanet covariant   { channels 1, 8, 8  alpha covariant()    readout invariant -> 6 }
  metanet independent { channels 1, 8     alpha independent()  readout invariant -> 6 }
"""

PERCEPTRON = f"""spec perceptron {{
  space x = 6 : fixed
  space h = 12 : permute * scale
  space k = 12 : permute * scale
  space y = 4 : fixed
  param W_1 : h <- x   param b_1 : h
  param W_2 : k <- h   param b_2 : k
  param W_3 : y <- k   param b_3 : y
  {METANETS}
}}"""

ATTENTION = f"""spec attention {{
  space D = 6 : fixed
  space head = 2 : permute {{ space qk = 4 : linear  space vo = 4 : linear }}
  param W_Q : head qk  <- D
  param W_K : head qk* <- D
  param W_V : head vo  <- D
  param W_O : D <- head vo
  {METANETS}
}}"""

FAMILIES = ("plain", "shared", "covariant", "independent")
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def perceptron(w: Weights, x: Tensor) -> Tensor:
    """The ReLU perceptron with these weights, of every entry of the batch, on inputs [N, 6]."""
    h = torch.relu(torch.einsum("bhx,nx->bnh", w["W_1"], x) + w["b_1"][:, None])
    k = torch.relu(torch.einsum("bkh,bnh->bnk", w["W_2"], h) + w["b_2"][:, None])
    return torch.einsum("byk,bnk->bny", w["W_3"], k) + w["b_3"][:, None]


def attention(w: Weights, x: Tensor) -> Tensor:
    """Attention with these weights over the tokens x [N, 6]."""
    q = torch.einsum("bhqd,nd->bhnq", w["W_Q"], x)
    k = torch.einsum("bhqd,nd->bhnq", w["W_K"], x)
    v = torch.einsum("bhvd,nd->bhnv", w["W_V"], x)
    mixed = (q @ k.mT).softmax(-1) @ v
    return torch.einsum("bdhv,bhnv->bnd", w["W_O"], mixed)


@dataclass(frozen=True)
class Subject:
    """A kind of network: its spec, its function, and what makes its group elements large."""

    name: str
    text: str
    function: Callable[[Weights, Tensor], Tensor]
    size: str
    sizes: tuple[float, ...]


SUBJECTS = (
    Subject("perceptron", PERCEPTRON, perceptron, "scale", (1e0, 1e1, 1e2, 1e3, 1e4)),
    Subject("attention", ATTENTION, attention, "condition", (1e0, 1e2, 1e4, 1e6)),
)


@dataclass(frozen=True)
class Row:
    """One line of the table: the figure of the function itself and of every network."""

    subject: str
    change: str
    dtype: str
    figures: tuple[float, ...]


def sample_element(spec: Spec, size: float, generator: torch.Generator) -> Element:
    """A random element: scales within [1/size, size], matrices of condition number `size`.

    Scales are log-uniform, and the extremes are among them; permutations are uniform.
    """
    group = qe.Group(spec)
    parts = {}
    for name, part in group.sample(generator).parts.items():
        matrix, characters = part.matrix, part.characters
        if matrix is not None:
            u, _, v = torch.linalg.svd(matrix)
            n = matrix.shape[-1]
            values = size ** torch.linspace(0.5, -0.5, n, dtype=torch.float64)
            matrix = u @ torch.diag(values) @ v
        if characters:
            exponents = 2 * torch.rand(characters[0].shape, generator=generator, dtype=torch.float64) - 1
            exponents.flatten()[:2] = torch.tensor([-1.0, 1.0])
            characters = (size**exponents,)
        parts[name] = Part(part.source, matrix, characters)
    return Element(parts)


def rows(subject: Subject, batch: int, seed: int) -> Iterator[Row]:
    """All lines about one kind of network."""
    spec = qe.parse(subject.text)
    generator = torch.Generator().manual_seed(seed)
    theta = {
        p.name: torch.randn(batch, *p.shape, generator=generator, dtype=torch.float64) / p.shape[-1] ** 0.5
        for p in spec.parameters
    }
    x = torch.randn(10, 6, generator=generator, dtype=torch.float64)
    changes = {
        f"{subject.size} {size:.0e}": qe.Group(spec).act(sample_element(spec, size, generator), theta)
        for size in subject.sizes
    }
    noise = {
        name: torch.randn(w.shape, generator=generator, dtype=torch.float64) for name, w in theta.items()
    }
    changes["another function: weights + 1%"] = {n: w + 0.01 * w.std() * noise[n] for n, w in theta.items()}
    first = spec.parameters[0].name
    changes["another function: one tensor doubled"] = {**theta, first: 2 * theta[first]}
    networks = {family: build(spec, family, seed) for family in FAMILIES}
    for change, moved in changes.items():
        for name, dtype in DTYPES.items():
            one, two = ({n: w.to(dtype) for n, w in t.items()} for t in (theta, moved))
            outputs = [(subject.function(one, x.to(dtype)), subject.function(two, x.to(dtype)))]
            outputs += [(net.to(dtype)(one), net.to(dtype)(two)) for net in networks.values()]
            yield Row(subject.name, change, name, tuple(difference(a, b) for a, b in outputs))


def build(spec: Spec, family: str, seed: int) -> nn.Module:
    """The emitted network of a family; weights of order one take its alpha-map far from the identity."""
    torch.manual_seed(seed)
    net = qe.build(spec, family).MetaNet(dtype=torch.float64)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.startswith("alpha"):
                p.normal_()
    return net


@torch.no_grad()
def difference(a: Tensor, b: Tensor) -> float:
    """The largest change of an output, relative to the spread of outputs over the batch."""
    spread = a.double().std(0).mean()
    return float((a.double() - b.double()).abs().max() / spread)


def table(found: list[Row]) -> str:
    """The rows as a table in Markdown."""
    header = ["", "weights of", "dtype", "function", *FAMILIES]
    lines = [header, ["---"] * len(header)]
    for row in found:
        lines.append([row.subject, row.change, row.dtype, *(f"{value:.0e}" for value in row.figures)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(arguments: list[str] | None = None) -> None:
    """Run the experiment and print its table."""
    parser = argparse.ArgumentParser(description="Equal functions, equal outputs.")
    parser.add_argument("--batch", type=int, default=32, help="how many networks of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print(table([row for subject in SUBJECTS for row in rows(subject, options.batch, options.seed)]))


if __name__ == "__main__":
    main()
