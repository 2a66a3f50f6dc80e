"""Axes that turn as a whole: orthogonal changes of basis, rotations, and lengths; channels last."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import qecompile as qe
from handwritten.example import examples
from handwritten.perceptrons import Weights

ORTHOGONAL = qe.parse("""
spec stream {
  space D = 3 : orthogonal
  space h = 4 : permute
  param U : h <- D
  param V : D <- h
  param c : D
}
""")
ROTATE = qe.parse(
    "spec space3 { space R = 3 : rotate  space n = 4 : permute  param x : [n, R]  param f : R }"
)
PLANES = qe.parse("""
spec rope {
  space D = 4 : permute
  space freq = 3 : fixed { space plane = 2 : rotate * dilate }
  param Q : freq plane  <- D
  param K : freq plane* <- D
}
""")
EXAMPLES, example = examples(ORTHOGONAL, channels=6)


@example(
    broken={
        "takes each coordinate": ("torch.relu(length)", "torch.relu(u)"),
        "sums the coordinates": (".square().sum(2)", ".sum(2).square()"),
        "lets a bias point somewhere": ("bias=False", "bias=True"),
        "takes the sum of absolute values": ("u.square().sum(2).sqrt()", "u.abs().sum(2)"),
    }
)
class VectorNeurons(nn.Module):
    """Linear in channels, then a nonlinearity of the length alone."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(6, 6, bias=False)

    def forward(self, theta: Weights) -> Weights:
        u = self.map(theta["U"])
        length = u.square().sum(2).sqrt().unsqueeze(2)
        return {"U": u * torch.relu(length) / (1 + length)}


@example(
    broken={
        "multiplies different coordinates": ('"bhdc,bdgc->bhgc"', '"bhdc,begc->bhgc"'),
        "cubes in the basis": ('theta["U"], theta["V"]', 'theta["U"] ** 3, theta["V"]'),
        "masks the first coordinate": (
            'theta["U"], theta["V"]',
            'theta["U"] * torch.eye(3)[0][:, None], theta["V"]',
        ),
    }
)
class InnerProducts(nn.Module):
    """Inner products over the stream, and norms, are invariant; products with them keep a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Linear(8, 6))

    def forward(self, theta: Weights) -> tuple[Weights, Tensor]:
        products = torch.einsum("bhdc,bdgc->bhgc", theta["U"], theta["V"])
        norm = torch.linalg.vector_norm(theta["c"], dim=1)
        weights = self.net(products).mean(1)
        return {"c": (theta["V"] * weights[:, None]).sum(2) + theta["c"] * norm[:, None]}, self.net(norm)


@example(
    spec=ROTATE,
    broken={
        "multiplies coordinates": ("torch.linalg.cross(a, b, dim=2)", "a * b"),
        "takes the product along the points": (
            "torch.linalg.cross(a, b, dim=2)",
            "torch.linalg.cross(a[:, :3], b[:, :3], dim=1).repeat(1, 2, 1, 1)[:, :4]",
        ),
    },
)
class CrossProduct(nn.Module):
    """In three dimensions rotations keep cross products."""

    def forward(self, theta: Weights) -> Weights:
        a = theta["x"] - theta["x"].mean(1, keepdim=True)
        b = theta["f"][:, None].expand_as(a)
        return {"x": torch.linalg.cross(a, b, dim=2) + a}


@example(
    spec=PLANES,
    broken={
        "multiplies queries with queries": ('theta["Q"], theta["K"]', 'theta["Q"], theta["Q"]'),
        "compares planes of two frequencies": ('"bfpdc,bfpec->bfdec"', '"bfpdc,bgpec->bfdec"'),
        "turns one plane by the angle of another": ('theta["Q"] * weight', 'theta["Q"].flip(1) * weight'),
    },
)
class Planes(nn.Module):
    """Products plane by plane; a frequency may have weights of its own, since frequencies stay in place."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 6))

    def forward(self, theta: Weights) -> Weights:
        scores = torch.einsum("bfpdc,bfpec->bfdec", theta["Q"], theta["K"])
        weight = (self.weight * scores.mean((2, 3)).tanh())[:, :, None, None]
        return {"Q": theta["Q"] * weight}


@example(
    spec=PLANES,
    broken={
        "turns by a reflection": ("[0.0, -1.0], [1.0, 0.0]", "[0.0, 1.0], [1.0, 0.0]"),
        "turns by a tenth only once": ("[0.0, -1.0], [1.0, 0.0]", "[1.0, 0.0], [0.0, 2.0]"),
    },
)
class QuarterTurn(nn.Module):
    """Rotations of a plane commute, so a quarter turn is equivariant."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turn", torch.tensor([[0.0, -1.0], [1.0, 0.0]]))

    def forward(self, theta: Weights) -> Weights:
        return {"Q": torch.einsum("pq,bfqdc->bfpdc", self.turn, theta["Q"])}
