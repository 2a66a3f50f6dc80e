"""Low-rank adapters, mixtures of experts, and kernels of convolutions; channels last."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qecompile as qe
from handwritten.example import examples
from handwritten.perceptrons import Weights

LORA = qe.parse("""
spec lora {
  space out = 4 : fixed
  space in = 3 : fixed
  space r = 4 : linear
  param B : out <- r
  param A : r <- in
}
""")
EXPERTS = qe.parse("""
spec moe {
  space D = 4 : permute
  space expert = 3 : permute { space m = 4 : permute * scale }
  param W_in : expert m <- D
  param W_out : [expert, D, m*]
  param route : expert <- D
}
""")
CNN = qe.parse("""
spec cnn {
  space x = 3 : fixed  space k = 3 : fixed
  space c = 4 : permute * scale
  space y = 2 : fixed
  param K : [c, x*, k, k]  param b : c  param W : y <- c
}
""")
EXAMPLES, example = examples(LORA, channels=6)


@example(
    broken={
        "multiplies without the adapter's rank": (
            'theta["B"].movedim(-1, 1) @',
            'theta["B"].movedim(-1, 1).softmax(-1) @',
        ),
        "mistakes the rank for the output": ('theta["B"].movedim(-1, 1)', 'theta["B"].movedim(-1, 1).mT'),
    }
)
class Update(nn.Module):
    """The product is what the adapter adds; outputs and inputs are fixed, so all of it may be read."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(72, 16), nn.ReLU(), nn.Linear(16, 5))

    def forward(self, theta: Weights) -> Tensor:
        product = theta["B"].movedim(-1, 1) @ theta["A"].movedim(-1, 1)
        return self.net(product.flatten(1))


@example(
    broken={
        "centres the ranks": ("(gram @ b)", "(gram @ (b - b.mean(-1, keepdim=True)))"),
        "adds a bias to every rank": ("bias=False", "bias=True"),
        "keeps the wrong side": ("gram @ b", "b @ gram.mT"),
    }
)
class MixOutputs(nn.Module):
    """Any linear map of the outputs, and any that depends on the product, moves B within its type."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs = nn.Linear(24, 24, bias=False)

    def forward(self, theta: Weights) -> Weights:
        b, a = theta["B"].movedim(-1, 1), theta["A"].movedim(-1, 1)
        product = b @ a
        gram = torch.softmax(product @ product.mT, dim=-1)
        linear = self.outputs(theta["B"].transpose(1, 2).flatten(2)).unflatten(2, (4, 6)).transpose(1, 2)
        return {"B": (gram @ b).movedim(1, -1) + linear}


@example(
    spec=EXPERTS,
    broken={
        "treats all units as one layer": ('"bemdc,bexmc->bedxc", w, v', '"bemdc,bexnc->bedxc", w, v'),
        "sends to the wrong expert": ("gates.softmax(1), maps", "gates.softmax(1).flip(1), maps"),
        "routes by place": ("gates.softmax(1)", "gates.softmax(1).cumsum(1)"),
        "forgets the scale": ("w, v = F.relu(theta", "w, v = F.silu(theta"),
    },
)
class Mixture(nn.Module):
    """Each expert's own map, weighed by its gate."""

    def forward(self, theta: Weights) -> Tensor:
        w, v = F.relu(theta["W_in"]), theta["W_out"]
        maps = torch.einsum("bemdc,bexmc->bedxc", w, v)
        gates = theta["route"].mean(-1)
        return torch.einsum("bed,bedxc->bxc", gates.softmax(1), maps).mean(1)


@example(
    spec=EXPERTS,
    broken={
        "pools over experts first": (
            "free.mean(2, keepdim=True)",
            "free.mean((1, 2), keepdim=True).cumsum(3)",
        ),
        "divides by the norms of other units": ("size = w", "size = w.flip(2)"),
        "folds units of one expert into another": (
            "free.flatten(1, 2)",
            "free.transpose(1, 2).flatten(1, 2)",
        ),
    },
)
class UnitsOfExperts(nn.Module):
    """Gauge-fixed units, seen as one batch of vectors, then pooled in their expert."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 6))

    def forward(self, theta: Weights) -> Weights:
        w = theta["W_in"]
        size = w.square().sum((3, 4), keepdim=True).sqrt()
        free = w / size
        units = self.net(free.flatten(1, 2)).unflatten(1, (3, 4))
        return {"W_in": (units + free.mean(2, keepdim=True)) * size}


@example(
    spec=CNN,
    broken={
        "mixes channels of the kernel": (
            "kernel.flatten(2)",
            "kernel.transpose(1, 2).reshape(len(kernel), 4, -1)",
        ),
        "adds a bias": ("bias=False", "bias=True"),
        "ignores the scale": ('theta["b"] / size', 'theta["b"]'),
    },
)
class Kernel(nn.Module):
    """Positions of a kernel are fixed: flatten them into channels. Scales are divided out by a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Linear(162, 6, bias=False)
        self.free = nn.Linear(6, 6)

    def forward(self, theta: Weights) -> tuple[Weights, Tensor]:
        kernel = theta["K"]
        size = torch.linalg.vector_norm(kernel, dim=(2, 3, 4, 5)).unsqueeze(-1)
        own = F.leaky_relu(self.kernel(kernel.flatten(2)))
        return {"b": own}, self.free(theta["b"] / size).mean(1)


@example(
    spec=CNN,
    broken={
        "slides over neurons": (
            "folded = kernel.permute(0, 1, 5, 2, 3, 4)",
            "folded = kernel.permute(0, 2, 5, 1, 3, 4)",
        ),
        "adds a bias": ("bias=False", "bias=True"),
    },
)
class ConvolvedKernel(nn.Module):
    """A convolution over the positions of the kernel itself; everything else is batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)

    def forward(self, theta: Weights) -> Weights:
        kernel = theta["K"]
        folded = kernel.permute(0, 1, 5, 2, 3, 4)
        y = self.conv(folded.flatten(0, 2)).unflatten(0, folded.shape[:3])
        return {"K": y.permute(0, 1, 3, 4, 5, 2)}
