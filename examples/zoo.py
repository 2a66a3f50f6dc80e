"""Train a zoo: a few hundred small ReLU networks on scikit-learn's digits, with varied hyperparameters.

    python examples/zoo.py --out build/zoo --models 500 --seed 0

All networks have one architecture and train at the same time: their weights are stacked along a leading
axis of N models, and every step is one batched matrix product a layer. What differs from model to model is
drawn at random (`draw_hyperparameters`), widely enough that the test accuracies go from chance to about 97 %.

Each network becomes `model_0000.safetensors` in the layout of `nn.Sequential` (`layers.0.weight`,
`layers.0.bias`, `layers.2.weight`, ...: the odd places hold the ReLUs), with its test accuracy and
hyperparameters in the file's metadata. `index.json` lists the files; it is written last, so a folder that has
one is complete. Every number comes from one seeded generator: the same settings give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

Stacked = dict[str, Tensor]  # one tensor [N, ...] for each name: the N models, stacked

TEST_IMAGES = 597
MAX_BATCH = 64
MAX_GRADIENT_NORM = 5.0


@dataclass(frozen=True)
class Settings:
    """What determines a zoo, byte for byte (on one machine)."""

    models: int = 500
    seed: int = 0
    widths: tuple[int, ...] = (64, 16, 16, 10)
    max_steps: int = 1500


@dataclass(frozen=True)
class Digits:
    """The images, [n, 64] with entries in 0..1, and the labels, [n], split once and for all."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load_data() -> Digits:
    """Split the 1797 digits into 1200 for training and 597 for testing, the same for every zoo."""
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(digits.data, dtype=torch.float32)[order] / 16
    labels = torch.tensor(digits.target, dtype=torch.int64)[order]
    test = slice(0, TEST_IMAGES)
    train = slice(TEST_IMAGES, None)
    return Digits(images[train], labels[train], images[test], labels[test])


def draw_hyperparameters(settings: Settings, generator: torch.Generator) -> Stacked:
    """Draw each hyperparameter of each model independently.

    Returns:
        For each hyperparameter, a tensor of shape [N].
    """
    n = settings.models

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator, dtype=torch.float64)

    def log_uniform(low: float, high: float) -> Tensor:
        return uniform(0, 1).mul(torch.tensor(high / low).double().log()).exp() * low

    def choice(*values: float) -> Tensor:
        return torch.tensor(values)[torch.randint(len(values), (n,), generator=generator)]

    return {
        "learning_rate": log_uniform(0.005, 0.3),
        "momentum": choice(0.0, 0.5, 0.9),
        "weight_decay": log_uniform(1e-6, 1e-3),
        "init_scale": log_uniform(0.3, 2.0),
        "label_noise": uniform(0.0, 0.7).square(),
        "train_fraction": log_uniform(0.1, 1.0),
        "batch_size": choice(8, 16, 32, MAX_BATCH),
        "steps": log_uniform(20, settings.max_steps).round().long(),
    }


def initial_weights(widths: tuple[int, ...], init_scale: Tensor, generator: torch.Generator) -> Stacked:
    """He initialisation times each model's `init_scale`, with small biases.

    Returns:
        `layers.K.weight` -> [N, out, in] and `layers.K.bias` -> [N, out], K = 0, 2, 4, ...
    """
    n, weights = len(init_scale), {}
    scale = init_scale.float()
    for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
        weight = torch.randn(n, fan_out, fan_in, generator=generator) * (2 / fan_in) ** 0.5
        bias = (2 * torch.rand(n, fan_out, generator=generator) - 1) * fan_in**-0.5
        weights[f"layers.{2 * i}.weight"] = weight * scale[:, None, None]
        weights[f"layers.{2 * i}.bias"] = bias * scale[:, None]
    return weights


def forward(weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Run N networks at once.

    Args:
        weights: `layers.K.weight` -> [N, out, in], `layers.K.bias` -> [N, out].
        images: [n, 64], the same for all models, or [N, n, 64].

    Returns:
        The logits, [N, n, classes].
    """
    last = len(weights) - 2
    x = images.expand(len(weights["layers.0.weight"]), *images.shape[-2:])
    for k in range(0, last + 1, 2):
        x = torch.baddbmm(weights[f"layers.{k}.bias"][:, None], x, weights[f"layers.{k}.weight"].mT)
        x = x if k == last else F.relu(x)
    return x


def count_correct(weights: Mapping[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """How many images each network classifies correctly, [N]; in float64, so that ties do not matter."""
    logits = forward({k: w.double() for k, w in weights.items()}, images.double())
    return (logits.argmax(-1) == labels).sum(-1)


def noisy_labels(data: Digits, noise: Tensor, generator: torch.Generator) -> Tensor:
    """For each model its own training labels, [N, n], a share `noise` of them replaced by random ones."""
    shape = (len(noise), len(data.train_labels))
    replaced = torch.rand(shape, generator=generator) < noise[:, None]
    return torch.where(replaced, torch.randint(10, shape, generator=generator), data.train_labels)


def clip_factors(gradients: tuple[Tensor, ...]) -> Tensor:
    """What to multiply each model's gradients by so that its norm is at most MAX_GRADIENT_NORM, [N]."""
    norm = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
    return (MAX_GRADIENT_NORM / norm.clamp(min=MAX_GRADIENT_NORM)).float()


def train(settings: Settings, data: Digits, progress: bool = True) -> tuple[Stacked, Stacked]:
    """Train all models with minibatch SGD, momentum and weight decay.

    The models are sorted by their number of steps, so that those still training are always the first
    ones, and a step costs only as much as the models that need it.

    Returns:
        The weights (see `initial_weights`) and the hyperparameters (see `draw_hyperparameters`).
    """
    generator = torch.Generator().manual_seed(settings.seed)
    hyper = draw_hyperparameters(settings, generator)
    hyper = {k: v[hyper["steps"].argsort(descending=True, stable=True)] for k, v in hyper.items()}
    weights = initial_weights(settings.widths, hyper["init_scale"], generator)
    velocity = {k: torch.zeros_like(w) for k, w in weights.items()}
    labels = noisy_labels(data, hyper["label_noise"], generator)
    # Model i trains on the first `subset[i]` images of its own ordering of the training set.
    subset = (hyper["train_fraction"] * labels.shape[1]).ceil().clamp(min=10)
    order = torch.rand(labels.shape, generator=generator).argsort(1)
    size = hyper["batch_size"][:, None]
    share = (torch.arange(MAX_BATCH) < size) / size  # [N, MAX_BATCH]: the mean over each model's batch

    for step in tqdm(range(int(hyper["steps"].max())), "training the zoo", disable=not progress, unit="step"):
        draws = torch.rand(settings.models, MAX_BATCH, generator=generator, dtype=torch.float64)
        active = int((hyper["steps"] > step).sum())
        batch = order[:active].gather(1, (draws * subset[:, None]).long()[:active])
        now = {k: w[:active].clone().requires_grad_() for k, w in weights.items()}
        logits = forward(now, data.train_images[batch])
        loss = F.cross_entropy(
            logits.flatten(0, 1), labels[:active].gather(1, batch).flatten(), reduction="none"
        )
        gradients = torch.autograd.grad((loss * share[:active].flatten()).sum(), tuple(now.values()))
        factor = clip_factors(gradients)
        for (name, w), g in zip(weights.items(), gradients, strict=True):
            _sgd_step(w[:active], velocity[name][:active], g, factor, hyper)
    shuffle = torch.randperm(settings.models, generator=generator)
    return {k: w[shuffle] for k, w in weights.items()}, {k: v[shuffle] for k, v in hyper.items()}


def _sgd_step(
    w: Tensor, velocity: Tensor, gradient: Tensor, factor: Tensor, hyper: Mapping[str, Tensor]
) -> None:
    """One in-place step of SGD on the leading models of one parameter, w: [active, ...]."""

    def per_model(value: Tensor) -> Tensor:
        return value[: len(w)].float().reshape(-1, *[1] * (w.ndim - 1))

    gradient = gradient * per_model(factor) + per_model(hyper["weight_decay"]) * w
    velocity.mul_(per_model(hyper["momentum"])).add_(gradient)
    w.sub_(per_model(hyper["learning_rate"]) * velocity)


def _write(path: Path, content: bytes) -> None:
    """Write a file so that other processes see all of it or nothing."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def read_index(folder: Path) -> dict[str, Any] | None:
    """The index of a complete zoo, or None if there is none or a file of it is missing or changed."""
    try:
        index: dict[str, Any] = json.loads((folder / "index.json").read_bytes())
        digests = [hashlib.sha256((folder / m["file"]).read_bytes()).hexdigest() for m in index["models"]]
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return index if digests == [m["sha256"] for m in index["models"]] else None


def build_zoo(folder: Path, settings: Settings, progress: bool = True) -> dict[str, Any]:
    """Train the zoo into `folder`, unless a complete one with the same settings is there already.

    Returns:
        The index: `settings`, and for each of `models` its file, sha256, test accuracy and hyperparameters.
    """
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()  # an edited recipe is another zoo
    wanted = json.loads(json.dumps(asdict(settings) | {"recipe": recipe}))  # tuples become lists
    index = read_index(folder)
    if index is not None and index["settings"] == wanted:
        return index
    data = load_data()
    weights, hyper = train(settings, data, progress)
    correct = count_correct(weights, data.test_images, data.test_labels)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (folder / "index.json", *folder.glob("model_*.safetensors")):
        stale.unlink(missing_ok=True)
    models = []
    for i in range(settings.models):
        about = {
            "test_accuracy": correct[i].item() / TEST_IMAGES,
            "hyperparameters": {k: v[i].item() for k, v in hyper.items()},
        }
        # One metadata entry: safetensors writes several in an order that changes from run to run.
        metadata = {"zoo": json.dumps(about, sort_keys=True)}
        content = save({k: w[i].contiguous() for k, w in weights.items()}, metadata)
        name = f"model_{i:04d}.safetensors"
        _write(folder / name, content)
        models.append({"file": name, "sha256": hashlib.sha256(content).hexdigest()} | about)
    index = {"settings": wanted, "models": models}
    _write(folder / "index.json", (json.dumps(index, indent=1, sort_keys=True) + "\n").encode())
    return index


def main() -> None:
    """Parse the command line, train the zoo, say how its accuracies spread."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--models", type=int, default=Settings.models)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--max-steps", type=int, default=Settings.max_steps)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    index = build_zoo(args.out, Settings(models=args.models, seed=args.seed, max_steps=args.max_steps))
    accuracy = torch.tensor([m["test_accuracy"] for m in index["models"]])
    quantiles = accuracy.quantile(torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    print(f"{len(accuracy)} models in {args.out}; test accuracy, quartiles: ", end="")
    print(", ".join(f"{q:.1%}" for q in quantiles))


if __name__ == "__main__":
    main()
