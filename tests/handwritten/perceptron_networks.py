"""Whole networks on the weights of a perceptron, and layers that borrow from other fields; channels last."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handwritten.example import examples
from handwritten.perceptrons import MLP, Weights

EXAMPLES, example = examples(MLP, channels=6)


@example(
    broken={
        "lets a neuron see those before it": ("scores.softmax(-1)", "scores.tril().softmax(-1)"),
        "adds codes of positions": ("tokens = torch.cat", "tokens = torch.arange(4.0)[:, None] + torch.cat"),
        "reads columns where rows belong": ('theta["W2"].mean(1)', 'theta["W2"].mean(2)'),
    }
)
class NeuronAttention(nn.Module):
    """Self-attention where tokens are neurons; a token is all that is known of the neuron."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(30, 24)
        self.out = nn.Linear(8, 6)

    def forward(self, theta: Weights) -> Weights:
        incoming = theta["W1"].flatten(2)
        outgoing = theta["W2"].mean(1)
        tokens = torch.cat([incoming, theta["b1"], outgoing], dim=-1)
        q, k, v = self.qkv(tokens).chunk(3, dim=-1)
        scores = q @ k.transpose(-2, -1) / 8**0.5
        return {"b1": theta["b1"] + self.out(scores.softmax(-1) @ v)}


@example(
    broken={
        "adds learned positions": ("self.encoder(b)", "self.encoder(b + self.positions)"),
        "runs over the batch": ("batch_first=True", "batch_first=False"),
    }
)
class TransformerOverNeurons(nn.Module):
    """torch's own encoder layer, over neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)
        self.positions = nn.Parameter(torch.randn(4, 6))

    def forward(self, theta: Weights) -> Weights:
        b = theta["b1"]
        return {"b1": self.encoder(b)}


@example(
    broken={
        "hides what comes later": (
            "F.scaled_dot_product_attention(q, k, v)",
            "F.scaled_dot_product_attention(q, k, v, is_causal=True)",
        ),
    }
)
class HeadsOverNeurons(nn.Module):
    """Multi-head attention by reshaping channels into heads."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(6, 6) for _ in range(4))

    def forward(self, theta: Weights) -> Weights:
        b = theta["b2"]
        q, k, v = (f(b).view(b.shape[0], 4, 2, 3).transpose(1, 2) for f in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(q, k, v)
        return {"b2": self.o(mixed.transpose(1, 2).flatten(2))}


@example(
    broken={
        "sends messages backwards": ("self.update(messages.sum(2))", "self.update(messages.sum(1))"),
        "confuses sender and receiver": ("sender = nodes[:, None]", "sender = nodes[:, :, None]"),
    }
)
class MessagePassing(nn.Module):
    """A graph network: neurons are nodes, weights are edges."""

    def __init__(self) -> None:
        super().__init__()
        self.message = nn.Sequential(nn.Linear(18, 12), nn.ReLU(), nn.Linear(12, 6))
        self.update = nn.Linear(6, 6)
        self.edge = nn.Linear(18, 6)

    def forward(self, theta: Weights) -> Weights:
        edges, nodes, later = theta["W2"], theta["b1"], theta["b2"]
        sender = nodes[:, None].expand(-1, 4, 4, -1)
        receiver = later[:, :, None].expand_as(sender)
        around = torch.cat([sender, receiver, edges], dim=-1)
        messages = self.message(around)
        return {"b2": later + self.update(messages.sum(2)), "W2": edges + self.edge(around)}


@example(
    broken={
        "lets a neuron hear the one before": ("w.softmax(dim=2)", "w.softmax(dim=2).cumsum(dim=1)"),
        "walks against the weights": ('"bghc,bhc->bgc"', '"bhgc,bhc->bgc"'),
    }
)
class WeightedMessages(nn.Module):
    """The weights themselves say who listens to whom."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        w = theta["W2"]
        attention = w.softmax(dim=2)
        return {"b2": torch.einsum("bghc,bhc->bgc", attention, self.value(theta["b1"]))}


class Block(nn.Module):
    """An equivariant layer of the network below: pointwise maps, and means of everything for everyone."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.own = nn.ModuleDict({n: nn.Linear(width, out) for n in MLP.params})
        self.all = nn.ModuleDict({n: nn.Linear(len(MLP.params) * width, out) for n in MLP.params})

    def forward(self, x: Weights) -> Weights:
        means = [t.flatten(1, -2).mean(1) for t in x.values()]
        context = torch.cat(means, dim=-1)
        found = {}
        for name, t in x.items():
            shift = self.all[name](context)
            found[name] = self.own[name](t) + shift.reshape(-1, *(1 for _ in t.shape[1:-1]), shift.shape[-1])
        return found


@example(
    broken={
        "takes the first neuron for all": ('x["b1"].mean(1)', 'x["b1"][:, 0]'),
        "gives every neuron weights": (
            "x = self.first(theta)",
            'x = self.first(theta) | {"b1": theta["b1"].flip(1)}',
        ),
        "concatenates the neurons": ("self.readout(", 'x["b1"].flatten(1)[:, :5] + self.readout('),
    }
)
class DeepNetwork(nn.Module):
    """Layers, a nonlinearity, an invariant readout."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Block(6, 8), Block(8, 8)
        self.readout = nn.Sequential(nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 5))

    def forward(self, theta: Weights) -> Tensor:
        x = self.first(theta)
        x = self.second({n: F.silu(t) for n, t in x.items()})
        pooled = torch.cat([x["b1"].mean(1), x["W2"].amax(dim=(1, 2)), x["b3"].mean(1)], dim=-1)
        return self.readout(pooled)


@example(
    broken={
        "normalises over neurons by position": ("self.norm(", "self.norm(torch.arange(4.0)[:, None] * "),
        "rescales by position": ("nn.LayerNorm(6)", "nn.LayerNorm((4, 6))"),
    }
)
class Residual(nn.Module):
    """Pre-norm residual blocks in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.up = nn.ModuleList(nn.Linear(6, 12) for _ in range(3))
        self.down = nn.ModuleList(nn.Linear(12, 6) for _ in range(3))

    def forward(self, theta: Weights) -> Weights:
        b = theta["b1"].clone()
        for up, down in zip(self.up, self.down, strict=True):
            z = self.norm(b)
            b += down(F.gelu(up(z)))
            b = b - b.mean(1, keepdim=True)
        return {"b1": b}


@example(
    broken={
        "maps over neurons": ("torch.vmap(one)", "torch.vmap(one, in_dims=1, out_dims=1)"),
        "looks at one neuron": ("w1.mean(0)", "w1[0]"),
    }
)
class OneNetworkAtATime(nn.Module):
    """Written for one network, mapped over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        def one(w1: Tensor, b1: Tensor) -> Tensor:
            return torch.tanh(self.net(b1) + w1.mean(0).sum(0)) * w1.amax(1)

        return {"b1": torch.vmap(one)(theta["W1"], theta["b1"])}


@example(
    broken={
        "stacks neurons of two layers": ("torch.stack([own, pooled])", "torch.stack([own, own.flip(1)])"),
        "cuts out a neuron": ("F.pad(own, (0, 2))[..., 2:]", "F.pad(own, (0, 0, 1, 0))[:, :4]"),
    }
)
class Channels(nn.Module):
    """Whatever is done to channels alone is allowed: slices, padding, shifts, gates, cumulative sums."""

    def forward(self, theta: Weights) -> Weights:
        own = theta["b1"]
        own = F.pad(own, (0, 2))[..., 2:] + own.roll(1, dims=-1) + own.cumsum(-1)
        gate, value = own.split([3, 3], dim=-1)
        own = torch.cat((gate.sigmoid() * value, value[..., [2, 0, 1]]), dim=-1)
        pooled = own.mean(1, keepdim=True).expand_as(own)
        mixed = torch.stack([own, pooled])
        return {"b1": mixed.sum(0) * mixed.unbind(0)[1]}


@example(
    broken={
        "keeps the tokens in order": ("weights.transpose(1, 2) @ tokens", "tokens[:, :7]"),
        "tells tokens apart": (
            "tokens = torch.cat(found, dim=1)",
            "tokens = torch.cat(found, dim=1).cumsum(1)",
        ),
        "reads one weight": ("tokens @ self.queries", "tokens[:, 5:6] @ self.queries"),
    }
)
class WeightsAsTokens(nn.Module):
    """Every weight and bias is a token, with a code for its layer; learned queries pool them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Linear(6, 8), nn.Linear(8, 3)
        self.layers = nn.Parameter(torch.randn(6, 8))
        self.queries = nn.Parameter(torch.randn(8, 7))

    def forward(self, theta: Weights) -> Tensor:
        found = [self.embed(x.flatten(1, -2)) + self.layers[k] for k, x in enumerate(theta.values())]
        tokens = torch.cat(found, dim=1)
        weights = (tokens @ self.queries).softmax(dim=1)
        return self.out(weights.transpose(1, 2) @ tokens).mean(1)


@example(
    broken={
        "gives layers to each other": ('"b1": parts[1]', '"b1": parts[2]'),
        "shifts the borders": ("split([3, 4, 4, 2], dim=1)", "split([2, 4, 4, 3], dim=1)"),
        "adds codes of places": ("nodes + seen", "nodes + seen + torch.linspace(0, 1, 13)[:, None]"),
    }
)
class AllNeurons(nn.Module):
    """The neurons of all layers in one list attend to each other, and are told apart again."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.randn(3, 6))
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, theta: Weights) -> Weights:
        inputs = self.inputs.expand(len(theta["b1"]), -1, -1)
        nodes = torch.cat([inputs, theta["b1"], theta["b2"], theta["b3"]], dim=1)
        seen, _ = self.attend(nodes, nodes, nodes)
        parts = (nodes + seen).split([3, 4, 4, 2], dim=1)
        return {"b1": parts[1], "b2": parts[2], "b3": parts[3]}


@example(
    broken={
        "writes a layer to the place of another": ("edges[:, 7:11, 3:7]", "edges[:, 3:7, 7:11]"),
        "hears one neuron": ("messages.sum(2)", "messages[:, :, 4]"),
        "shifts the nodes": ("nodes[:, 3:7]", "nodes[:, 4:8]"),
    }
)
class NeuralGraph(nn.Module):
    """One graph of the neurons of all layers; its edges are written block by block."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.randn(3, 6))
        self.message, self.update = nn.Linear(18, 6), nn.Linear(12, 6)

    def forward(self, theta: Weights) -> Weights:
        batch = len(theta["b1"])
        inputs = self.inputs.expand(batch, -1, -1)
        nodes = torch.cat([inputs, theta["b1"], theta["b2"], theta["b3"]], dim=1)
        edges = torch.zeros(batch, 13, 13, 6)
        edges[:, 3:7, :3] = theta["W1"]
        edges[:, 7:11, 3:7] = theta["W2"]
        edges[:, 11:, 7:11] = theta["W3"]
        ends = [nodes[:, None].expand_as(edges), nodes[:, :, None].expand_as(edges)]
        messages = self.message(torch.cat([*ends, edges], dim=-1)).relu()
        nodes = self.update(torch.cat([nodes, messages.sum(2)], dim=-1))
        return {"b1": nodes[:, 3:7], "b2": nodes[:, 7:11], "b3": nodes[:, 11:]}
