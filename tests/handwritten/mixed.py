"""Recurrent gates, kernels with batch norm, point clouds, spectra and tables; channels last."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import qecompile as qe
from handwritten.example import examples
from handwritten.perceptrons import MLP, Weights
from handwritten.vectors import ROTATE

LSTM = qe.parse("""
spec lstm {
  space x = 3 : fixed   space gate = 4 : fixed   space h = 5 : permute   space y = 2 : fixed
  param W : [gate, h, x]   param R : [gate, h, h]   param b : [gate, h]   param V : y <- h
}
""")
NORMED = qe.parse("""
spec normed {
  space x = 3 : fixed   space k = 3 : fixed   space c = 4 : permute * scale(pre) * scale(post)
  param K : [c^{pre: 1}, x, k, k]       param mean : c^{pre: 1}    param var : c^{pre: 2}
  param gamma : c^{post: 1}             param beta : c^{post: 1}   param next : [x, c^{post: -1}]
}
""")
LORA = qe.parse("""
spec lora {
  space out = 5 : fixed   space in = 3 : fixed   space r = 3 : linear
  param B : out <- r   param A : r <- in
}
""")
EXAMPLES, example = examples(LSTM, channels=None)


@example(
    broken={
        "takes units for gates": (
            'theta["R"].flatten(1, 2).mT',
            'theta["R"].transpose(1, 2).flatten(1, 2).mT',
        ),
        "cuts the gates the other way": (".chunk(4, dim=-1)", ".unflatten(-1, (5, 4)).unbind(-1)"),
        "starts from one unit": (
            'torch.zeros(len(theta["b"]), 1, 5)',
            'torch.eye(5)[0].repeat(len(theta["b"]), 1, 1)',
        ),
    }
)
class RunLstm(nn.Module):
    """The cell on a learned sequence, with the gates stacked as torch keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.randn(4, 3))

    def forward(self, theta: Weights) -> Tensor:
        h = c = torch.zeros(len(theta["b"]), 1, 5)
        for x in self.inputs:
            z = (x @ theta["W"].flatten(1, 2).mT).unsqueeze(1) + h @ theta["R"].flatten(1, 2).mT
            i, f, u, o = (z + theta["b"].flatten(1)[:, None]).chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * u.tanh()
            h = o.sigmoid() * c.tanh()
        return (h @ theta["V"].mT).squeeze(1)


@example(
    spec=NORMED,
    channels=6,
    broken={
        "divides by the variance": ('theta["var"].abs().sqrt()', 'theta["var"].abs()'),
        "leaves out the gain": ('theta["K"] * gain[:, :, None, None, None]', 'theta["K"]'),
        "folds the mean without its gain": ('theta["mean"] * gain', 'theta["mean"]'),
    },
)
class FoldedNorm(nn.Module):
    """Batch norm folded into its kernel: one scale cancels, the other meets the layer behind."""

    def forward(self, theta: Weights) -> tuple[Weights, Tensor]:
        gain = theta["gamma"] / theta["var"].abs().sqrt()
        kernel = (theta["K"] * gain[:, :, None, None, None]).flatten(2, 4)
        shift = theta["beta"] - theta["mean"] * gain
        through = torch.einsum("byhc,bhxc->byxc", theta["next"], kernel)
        return {"beta": shift + kernel.abs().amax(2)}, through.tanh().flatten(1)


@example(
    spec=ROTATE,
    channels=6,
    broken={
        "takes one coordinate of a distance": (".sum(-1, keepdim=True)", "[..., :1]"),
        "lets a point see those before it": ("1 - torch.eye(4)", "torch.ones(4, 4).tril(-1)"),
        "adds a direction of its own": (
            "x + (weights * apart).mean(3)",
            "x + (weights * apart).mean(3) + self.shift",
        ),
        "takes the volume of squares": ("torch.linalg.det(frame)", "torch.linalg.det(frame.square())"),
    },
)
class PointCloud(nn.Module):
    """Points move along the lines between them; three mean vectors span a volume, which has a sign."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 8), nn.SiLU(), nn.Linear(8, 1))
        self.shift = nn.Parameter(torch.randn(3))

    def forward(self, theta: Weights) -> tuple[Weights, Tensor]:
        x = theta["x"].movedim(-1, 1)
        apart = x[:, :, :, None] - x[:, :, None]
        distance = apart.square().sum(-1, keepdim=True)
        weights = self.net(distance) * (1 - torch.eye(4))[..., None]
        frame = torch.stack([x[:, 0].mean(1), x[:, 1].mean(1), theta["f"][..., 0]], dim=1)
        return {"x": (x + (weights * apart).mean(3)).movedim(1, -1)}, torch.linalg.det(frame)


@example(
    spec=LORA,
    channels=6,
    broken={
        "reads the singular values of one side": (
            "svd(product, full_matrices=False)",
            "svd(b, full_matrices=False)",
        ),
        "regularises in the basis": ("gram = b.mT @ b", "gram = b.mT @ b + torch.eye(3)"),
        "takes eigenvalues of the wrong product": ("eigvalsh(product @ product.mT)", "eigvalsh(a @ a.mT)"),
    },
)
class Spectrum(nn.Module):
    """Spectra of the product, and the projection on the columns of B, whatever the basis between."""

    def forward(self, theta: Weights) -> tuple[Tensor, Tensor, Tensor]:
        b, a = theta["B"].movedim(-1, 1), theta["A"].movedim(-1, 1)
        product = b @ a
        gram = b.mT @ b
        projection = b @ torch.linalg.solve(gram, b.mT)
        values = torch.linalg.svd(product, full_matrices=False)[1]
        return values, projection, torch.linalg.eigvalsh(product @ product.mT)


@example(
    spec=MLP,
    channels=6,
    broken={
        "numbers the neurons": ("torch.bucketize(w", "torch.bucketize(w + torch.arange(4.0)[:, None]"),
        "picks a neuron": ("b.gather(2, order)", "b.gather(1, order.clamp(max=3))"),
        "ranks over neurons": ("b.argsort(dim=2)", "b.argsort(dim=1)"),
    },
)
class Tables(nn.Module):
    """Weights in bins with learned codes, and channels in order: places along fixed axes may be computed."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("borders", torch.linspace(-1.5, 1.5, 7))
        self.codes = nn.Embedding(8, 6)

    def forward(self, theta: Weights) -> Weights:
        w, b = theta["W2"].mean(-1), theta["b1"]
        bins = torch.bucketize(w, self.borders)
        order = b.argsort(dim=2)
        return {"W2": self.codes(bins) * w[..., None], "b1": b.gather(2, order) + b.cummax(2)[0]}
