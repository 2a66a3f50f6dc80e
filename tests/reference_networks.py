"""Small PyTorch networks whose `state_dict` has the keys that the `from` clauses of the specs name.

They are written the way each architecture is usually written, and know nothing of symmetry. Sizes are chosen
for tests: small, and different wherever two axes could be mixed up. Batch norms have no epsilon, because a
scale in front of them is an exact symmetry only then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Perceptron(nn.Module):
    """mlp, mlp_tanh: dense layers with an activation between them."""

    def __init__(self, widths: Sequence[int], activation: type[nn.Module]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), activation()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Siren(nn.Module):
    """siren: sin(omega (W x + b)) in every layer but the last."""

    def __init__(self, widths: Sequence[int], omega: float = 3.0) -> None:
        super().__init__()
        self.omega = omega
        self.layers = nn.ModuleList(
            nn.ModuleDict({"linear": nn.Linear(inputs, outputs)}) for inputs, outputs in pairwise(widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = torch.sin(self.omega * layer["linear"](x))
        return last["linear"](x)


class ConvolutionBlock(nn.Module):
    """relu(batch_norm(conv(x)))."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
        self.norm = nn.BatchNorm2d(outputs, eps=0)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu()


class PooledConvolutions(nn.Module):
    """cnn: blocks, the mean over the image, a linear head."""

    def __init__(self, channels: Sequence[int], classes: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ConvolutionBlock(i, o, bias=False) for i, o in pairwise(channels)))
        self.head = nn.Linear(channels[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x).mean((-2, -1)))


class FlattenedConvolutions(nn.Module):
    """cnn_bn: blocks with max pooling, all positions of the last map into a dense head."""

    def __init__(self, channels: Sequence[int], side: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ConvolutionBlock(i, o, bias=True) for i, o in pairwise(channels))
        self.head = nn.Sequential(
            nn.Linear(channels[-1] * side * side, hidden), nn.ReLU(), nn.Linear(hidden, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = F.max_pool2d(block(x), 2)
        return self.head(x.flatten(1))


class BasicBlock(nn.Module):
    """Two convolutions around the residual stream of a stage, as in torchvision."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs, eps=0)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, eps=0)
        self.downsample: nn.Module | None = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs, eps=0)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return (shortcut + self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))).relu()


class ResNet(nn.Module):
    """resnet: a stem, stages of basic blocks, the mean over the image, a linear head."""

    def __init__(self, widths: Sequence[int], blocks: int, image: int, classes: int, stem: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(image, widths[0], stem, padding=stem // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0], eps=0)
        self.stages = len(widths)
        for s, (inputs, outputs) in enumerate(pairwise([widths[0], *widths])):
            first = BasicBlock(inputs, outputs, stride=2 if s else 1)
            rest = (BasicBlock(outputs, outputs, stride=1) for _ in range(blocks - 1))
            self.add_module(f"layer{s + 1}", nn.Sequential(first, *rest))
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        for s in range(self.stages):
            x = self.get_submodule(f"layer{s + 1}")(x)
        return self.fc(x.mean((-2, -1)))


class AttentionBlock(nn.Module):
    """mha: attention and a feed-forward layer, each followed by a LayerNorm."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.attn(x, x, x, need_weights=False)[0])
        return self.norm2(x + self.mlp(x))


class Encoder(nn.Module):
    """transformer: embeddings, torch's own encoder, the mean over the sequence, a linear head."""

    def __init__(
        self, layers: int, width: int, heads: int, hidden: int, vocab: int, length: int, classes: int
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.position = nn.Embedding(length, width)
        block = nn.TransformerEncoderLayer(width, heads, hidden, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.position.weight[: tokens.shape[1]]
        return self.head(self.encoder(x).mean(1))


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, causal: bool = False) -> Tensor:
    """Attention on [batch, sequence, heads * size], back in that shape."""
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(-2)


def tree(**parts: nn.Module) -> nn.ModuleDict:
    """Modules under names, to spell the nested keys of other people's checkpoints."""
    return nn.ModuleDict(parts)


class Bert(nn.Module):
    """bert: the model of Hugging Face, without its pooler; it returns the residual stream."""

    def __init__(self, layers: int, width: int, heads: int, hidden: int, vocab: int, length: int) -> None:
        super().__init__()
        self.heads = heads
        self.embeddings = tree(
            word_embeddings=nn.Embedding(vocab, width),
            position_embeddings=nn.Embedding(length, width),
            token_type_embeddings=nn.Embedding(2, width),
            LayerNorm=nn.LayerNorm(width),
        )
        self.encoder = tree(layer=nn.ModuleList(self.block(width, hidden) for _ in range(layers)))

    @staticmethod
    def block(width: int, hidden: int) -> nn.ModuleDict:
        projections = {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        output = tree(dense=nn.Linear(width, width), LayerNorm=nn.LayerNorm(width))
        return tree(
            attention=nn.ModuleDict({"self": tree(**projections), "output": output}),
            intermediate=tree(dense=nn.Linear(width, hidden)),
            output=tree(dense=nn.Linear(hidden, width), LayerNorm=nn.LayerNorm(width)),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        e = self.embeddings
        segments = torch.arange(tokens.shape[1]) * 2 // tokens.shape[1]  # two sentences
        x = e["word_embeddings"](tokens) + e["position_embeddings"].weight[: tokens.shape[1]]
        x = e["LayerNorm"](x + e["token_type_embeddings"](segments))
        for block in self.encoder["layer"]:
            heads, out = block["attention"]["self"], block["attention"]["output"]
            mixed = attend(heads["query"](x), heads["key"](x), heads["value"](x), self.heads)
            x = out["LayerNorm"](x + out["dense"](mixed))
            inner = F.gelu(block["intermediate"]["dense"](x))
            x = block["output"]["LayerNorm"](x + block["output"]["dense"](inner))
        return x


class Conv1D(nn.Module):
    """A dense layer as GPT-2 stores it: [inputs, outputs]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


class GPT2(nn.Module):
    """gpt2: pre-norm blocks, fused projections, GELU, tied embedding; it returns scores of tokens."""

    def __init__(self, layers: int, width: int, heads: int, hidden: int, vocab: int, length: int) -> None:
        super().__init__()
        self.heads = heads
        self.wte = nn.Embedding(vocab, width)
        self.wpe = nn.Embedding(length, width)
        self.h = nn.ModuleList(self.block(width, hidden) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)

    @staticmethod
    def block(width: int, hidden: int) -> nn.ModuleDict:
        return tree(
            ln_1=nn.LayerNorm(width),
            attn=tree(c_attn=Conv1D(width, 3 * width), c_proj=Conv1D(width, width)),
            ln_2=nn.LayerNorm(width),
            mlp=tree(c_fc=Conv1D(width, hidden), c_proj=Conv1D(hidden, width)),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.h:
            q, k, v = block["attn"]["c_attn"](block["ln_1"](x)).chunk(3, dim=-1)
            x = x + block["attn"]["c_proj"](attend(q, k, v, self.heads, causal=True))
            inner = F.gelu(block["mlp"]["c_fc"](block["ln_2"](x)), approximate="tanh")
            x = x + block["mlp"]["c_proj"](inner)
        return self.ln_f(x) @ self.wte.weight.T


def rotary(x: Tensor) -> Tensor:
    """Rotate planes (i, i + size / 2) of [batch, heads, sequence, size] by the position, as Llama does."""
    sequence, half = x.shape[-2], x.shape[-1] // 2
    frequency = 100.0 ** -(torch.arange(half, dtype=x.dtype) / half)
    angle = torch.arange(sequence, dtype=x.dtype)[:, None] * frequency
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=-1)


class Llama(nn.Module):
    """llama: rotary positions, grouped queries, SwiGLU, RMSNorm, an untied head."""

    def __init__(
        self, layers: int, width: int, groups: int, queries: int, size: int, hidden: int, vocab: int
    ) -> None:
        super().__init__()
        self.size = size
        blocks = (self.block(width, groups * size, groups * queries * size, hidden) for _ in range(layers))
        self.model = tree(
            embed_tokens=nn.Embedding(vocab, width),
            layers=nn.ModuleList(blocks),
            norm=nn.RMSNorm(width, eps=1e-5),
        )
        self.lm_head = nn.Linear(width, vocab, bias=False)

    @staticmethod
    def block(width: int, keys: int, queries: int, hidden: int) -> nn.ModuleDict:
        def dense(inputs: int, outputs: int) -> nn.Module:
            return nn.Linear(inputs, outputs, bias=False)

        return tree(
            input_layernorm=nn.RMSNorm(width, eps=1e-5),
            self_attn=tree(
                q_proj=dense(width, queries),
                k_proj=dense(width, keys),
                v_proj=dense(width, keys),
                o_proj=dense(queries, width),
            ),
            post_attention_layernorm=nn.RMSNorm(width, eps=1e-5),
            mlp=tree(
                gate_proj=dense(width, hidden), up_proj=dense(width, hidden), down_proj=dense(hidden, width)
            ),
        )

    def attention(self, parts: nn.ModuleDict, x: Tensor) -> Tensor:
        q, k, v = (
            parts[f"{name}_proj"](x).unflatten(-1, (-1, self.size)).transpose(1, 2)
            for name in ("q", "k", "v")
        )
        k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], dim=1) for t in (k, v))
        mixed = F.scaled_dot_product_attention(rotary(q), rotary(k), v, is_causal=True)
        return parts["o_proj"](mixed.transpose(1, 2).flatten(-2))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.model["embed_tokens"](tokens)
        for block in self.model["layers"]:
            mlp = block["mlp"]
            x = x + self.attention(block["self_attn"], block["input_layernorm"](x))
            y = block["post_attention_layernorm"](x)
            x = x + mlp["down_proj"](F.silu(mlp["gate_proj"](y)) * mlp["up_proj"](y))
        return self.lm_head(self.model["norm"](x))


class Experts(nn.Module):
    """The perceptrons of a mixture, stacked."""

    def __init__(self, experts: int, width: int, hidden: int) -> None:
        super().__init__()
        self.w_in = nn.Parameter(torch.empty(experts, hidden, width))
        self.b_in = nn.Parameter(torch.empty(experts, hidden))
        self.w_out = nn.Parameter(torch.empty(experts, width, hidden))
        self.b_out = nn.Parameter(torch.empty(experts, width))

    def forward(self, x: Tensor) -> Tensor:
        """What every expert makes of every token: [tokens, experts, width]."""
        hidden = (torch.einsum("emd,nd->nem", self.w_in, x) + self.b_in).relu()
        return torch.einsum("edm,nem->ned", self.w_out, hidden) + self.b_out


class MixtureOfExperts(nn.Module):
    """moe: the best two experts of every token, weighted by a softmax over their scores."""

    def __init__(self, inputs: int, width: int, experts: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, width)
        self.router = nn.Linear(width, experts)
        self.experts = Experts(experts, width, hidden)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        scores, chosen = self.router(x).topk(2, dim=-1)
        answers = torch.take_along_dim(self.experts(x), chosen[..., None], dim=1)
        return self.head(self.norm(x + (scores.softmax(-1)[..., None] * answers).sum(1)))


class Adapter(nn.Module):
    """lora: a frozen dense layer, which the checkpoint of an adapter does not hold, and a low-rank update."""

    frozen: Tensor

    def __init__(self, outputs: int, inputs: int, r: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("frozen", torch.randn(outputs, inputs, generator=generator), persistent=False)
        self.lora_A = nn.Linear(inputs, r, bias=False)
        self.lora_B = nn.Linear(r, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.frozen.T + self.lora_B(self.lora_A(x))


class Recurrent(nn.Module):
    """rnn, lstm: torch's own recurrent layers and a linear head."""

    def __init__(
        self, kind: str, cell: Callable[..., nn.Module], inputs: int, hidden: int, layers: int, outputs: int
    ) -> None:
        super().__init__()
        self.kind = kind
        self.add_module(kind, cell(inputs, hidden, layers, batch_first=True))
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.get_submodule(self.kind)(x)
        return self.head(states)


class Mixer(nn.Module):
    """mixer: patches, then perceptrons over patches and over channels."""

    def __init__(
        self, layers: int, width: int, patches: int, patch: int, colours: int,
        token_hidden: int, channel_hidden: int, classes: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.stem = tree(proj=nn.Conv2d(colours, width, patch, stride=patch))
        self.blocks = nn.ModuleList(
            tree(
                norm1=nn.LayerNorm(width),
                mlp_tokens=tree(fc1=nn.Linear(patches, token_hidden), fc2=nn.Linear(token_hidden, patches)),
                norm2=nn.LayerNorm(width),
                mlp_channels=tree(fc1=nn.Linear(width, channel_hidden), fc2=nn.Linear(channel_hidden, width)),
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem["proj"](image).flatten(2).transpose(1, 2)  # [batch, patches, width]
        for block in self.blocks:
            over_patches, over_channels = block["mlp_tokens"], block["mlp_channels"]
            y = block["norm1"](x).transpose(1, 2)
            x = x + over_patches["fc2"](F.gelu(over_patches["fc1"](y))).transpose(1, 2)
            x = x + over_channels["fc2"](F.gelu(over_channels["fc1"](block["norm2"](x))))
        return self.head(self.norm(x).mean(1))


class DeepSets(nn.Module):
    """deepsets: rho of the sum of phi over the elements."""

    def __init__(self, inputs: int, phi: int, latent: int, rho: int, outputs: int) -> None:
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(inputs, phi), nn.ReLU(), nn.Linear(phi, latent))
        self.rho = nn.Sequential(nn.Linear(latent, rho), nn.ReLU(), nn.Linear(rho, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.rho(self.phi(x).sum(-2))
