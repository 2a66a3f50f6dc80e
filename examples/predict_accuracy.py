"""Predict a network's test accuracy from its weights alone, with three readers of weights.

    python examples/zoo.py --out build/zoo
    python examples/predict_accuracy.py --zoo build/zoo --spec specs/mlp.sym --out build/accuracy

The network emitted from the spec is compared with two plain MLPs (baselines.py), one on the flattened weights
and one on statistics of them: the same split of the zoo, the same loss, the same number of steps, and for
each the epoch that does best on the validation models. The score is Kendall's tau between predicted and true
accuracy on held-out models, once as they were trained and once after a random element of the spec's group, a
different one for each model, has been applied to their weights (neurons permuted uniformly, and rescaled by
factors between exp(-2) and exp(2)). Those are the same functions, so the true
accuracies do not change; a reader that respects the symmetry cannot tell the difference.

Writes the emitted module and `results.json` to the `--out` folder. Everything is seeded.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import baselines
import torch
import zoo
from rich import box
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from scipy.stats import kendalltau
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

import qecompile as qe
from qecompile.spec import Spec

Weights = dict[str, Tensor]  # name in the spec -> [B, *shape]

LOG_SCALE = 2.0  # a rescaled neuron is multiplied by exp(u), u uniform in [-2, 2]: by 0.14 to 7.4


@dataclass(frozen=True)
class Budget:
    """How each reader is trained: the same for all three."""

    epochs: int = 20
    batch: int = 16
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    seed: int = 0


@dataclass(frozen=True)
class Models:
    """Some models of the zoo: their weights, name -> [B, *shape], and their test accuracies, [B]."""

    theta: Weights
    accuracy: Tensor

    def __len__(self) -> int:
        """The number of models."""
        return len(self.accuracy)

    def pick(self, index: Tensor) -> Models:
        """The models at the given places."""
        return Models({k: w[index] for k, w in self.theta.items()}, self.accuracy[index])

    def to(self, dtype: torch.dtype) -> Models:
        """The same models in another precision."""
        return Models({k: w.to(dtype) for k, w in self.theta.items()}, self.accuracy.to(dtype))


def load_zoo(folder: Path, index: dict[str, Any], spec: Spec) -> Models:
    """Read every model that a zoo's index lists, under the spec's names of its parameters.

    The `from` clause of each parameter says which entry of the file it is.
    """
    files = [load_file(folder / m["file"]) for m in index["models"]]
    theta = {name: torch.stack([f[p.source.key] for f in files]) for name, p in spec.params.items()}
    return Models(theta, torch.tensor([m["test_accuracy"] for m in index["models"]]))


def split(models: Models) -> tuple[Models, Models, Models]:
    """The first 60 % to train on, 15 % to validate, 25 % held out; the zoo is in random order."""
    n = len(models)
    train, validation, test = torch.arange(n).tensor_split([n * 60 // 100, n * 75 // 100])
    return models.pick(train), models.pick(validation), models.pick(test)


def transform(group: qe.Group, models: Models, seed: int) -> Models:
    """Apply a random group element to each model, a fresh one each; the result is in float64."""
    generator = torch.Generator().manual_seed(seed)
    moved = []
    for i in range(len(models)):
        one = {k: w[i].double() for k, w in models.theta.items()}
        moved.append(group.act(group.sample(generator, scale=LOG_SCALE), one))
    theta = {k: torch.stack([m[k] for m in moved]) for k in models.theta}
    return Models(theta, models.accuracy)


class AccuracyReader(nn.Module):
    """The emitted network with a small head on its outputs; one output, [B, 1].

    Each parameter is first multiplied by one number, so that it is of order one over the training
    models. The same number for all entries commutes with the group, so nothing is lost; the emitted
    network's outputs are invariant, so whatever the head makes of them is too.
    """

    def __init__(self, metanet: nn.Module, theta: Weights) -> None:
        """Fit the multipliers to the training weights `theta`, name -> [B, *shape]."""
        super().__init__()
        self.metanet = metanet
        self.multiplier = {k: 1 / w.square().mean().sqrt().item() for k, w in theta.items()}
        with torch.no_grad():
            outputs = metanet(self.normalise(theta)).shape[-1]
        self.head = nn.Sequential(nn.Linear(outputs, 32), nn.ReLU(), nn.Linear(32, 1))

    def normalise(self, theta: Weights) -> Weights:
        """Multiply each parameter by its number."""
        return {k: w * self.multiplier[k] for k, w in theta.items()}

    def forward(self, theta: Weights) -> Tensor:
        """One number a model: name -> [B, *shape] gives [B, 1]."""
        return self.head(self.metanet(self.normalise(theta)))


def fit(reader: nn.Module, train: Sequence[Models], validation: Models, budget: Budget, name: str) -> None:
    """Train a reader, then keep the weights of its best epoch on the validation models.

    The reader's output is the logit of the accuracy; the loss is the cross-entropy with the true one.

    Args:
        reader: name -> [B, *shape] gives [B, 1].
        train: versions of the training models; the epochs take them in turn.
        validation: the models that choose the epoch.
        budget: how long and how fast to train.
        name: what the progress bar says.
    """
    generator = torch.Generator().manual_seed(budget.seed)
    optimiser = torch.optim.AdamW(reader.parameters(), budget.learning_rate, weight_decay=budget.weight_decay)
    steps = budget.epochs * -(-len(train[0]) // budget.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, budget.learning_rate, steps)
    best, best_tau = copy.deepcopy(reader.state_dict()), -1.0
    bar = tqdm(range(budget.epochs), f"training {name}", unit="epoch")
    for epoch in bar:
        version = train[epoch % len(train)]
        reader.train()
        for chosen in torch.randperm(len(version), generator=generator).split(budget.batch):
            part = version.pick(chosen)
            loss = F.binary_cross_entropy_with_logits(reader(part.theta)[:, 0], part.accuracy)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        tau = score(reader, validation)
        bar.set_postfix(tau=f"{tau:.3f}")
        if tau > best_tau:
            best, best_tau = copy.deepcopy(reader.state_dict()), tau
    reader.load_state_dict(best)


@torch.no_grad()
def predict(reader: nn.Module, theta: Weights) -> Tensor:
    """The predicted logit of each model's accuracy, [B]."""
    reader.eval()
    return reader(theta)[:, 0]


def score(reader: nn.Module, models: Models) -> float:
    """Kendall's tau between predicted and true accuracies; a constant prediction scores 0."""
    tau = kendalltau(predict(reader, models.theta), models.accuracy).statistic
    return 0.0 if tau != tau else float(tau)


@torch.no_grad()
def score_error(reader: nn.Module, models: Models, resamples: int = 200) -> float:
    """The standard error of `score` over the choice of the models, by bootstrap."""
    predicted = predict(reader, models.theta)
    n = len(models)
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(n, (resamples, n), generator=generator)
    taus = [kendalltau(predicted[d], models.accuracy[d]).statistic for d in draws]
    return torch.tensor(taus).nan_to_num().std().item()


def invariance_error(reader: nn.Module, models: Models, moved: Models, dtype: torch.dtype) -> float:
    """The largest change of a prediction under the group, relative to the largest prediction."""
    reader = copy.deepcopy(reader).to(dtype)
    before = predict(reader, models.to(dtype).theta)
    after = predict(reader, moved.to(dtype).theta)
    return ((after - before).abs().max() / before.abs().max()).item()


def function_change(spec: Spec, models: Models, moved: Models) -> float:
    """The largest change under the group of a logit of the zoo's own networks, relative to the largest."""
    images = zoo.load_data().test_images.double()
    before, after = (
        zoo.forward({p.source.key: m.theta[name].double() for name, p in spec.params.items()}, images)
        for m in (models, moved)
    )
    return ((after - before).abs().max() / before.abs().max()).item()


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Make a network with weights drawn from a seed, leaving torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def measure(reader: nn.Module, test: Models, moved: Models) -> dict[str, float]:
    """What the table says of a trained reader.

    Args:
        reader: name -> [B, *shape] gives [B, 1].
        test: the held-out models, in float32.
        moved: the same after random group elements, in float64.
    """
    return {
        "parameters": sum(p.numel() for p in reader.parameters()),
        "tau": score(reader, test),
        "tau_standard_error": score_error(reader, test),
        "tau_transformed": score(reader, moved.to(torch.float32)),
        "change_float32": invariance_error(reader, test, moved, torch.float32),
        "change_float64": invariance_error(reader, test, moved, torch.float64),
    }


def compare(zoo_folder: Path, spec_path: Path, out: Path, budget: Budget, augment: int = 0) -> dict[str, Any]:
    """Emit the network, train all readers, measure them, write `results.json`.

    Args:
        zoo_folder: where zoo.py wrote the models.
        spec_path: the spec of the models, a `.sym` file with a parameter `widths`.
        out: the folder to write.
        budget: how each reader is trained.
        augment: if positive, train the two plain readers once more each, on this many versions of the
            training models, transformed at random.

    Returns:
        The results, as in the file.
    """
    index = zoo.read_index(zoo_folder)
    if index is None:
        raise SystemExit(
            f"{zoo_folder} holds no complete zoo; first: python examples/zoo.py --out {zoo_folder}"
        )
    spec = qe.load(spec_path, widths=index["settings"]["widths"])
    out.mkdir(parents=True, exist_ok=True)
    emitted = out / "mlp_metanet.py"
    qe.emit(spec, emitted)
    module, group = qe.build(spec), qe.Group(spec)

    train, validation, test = split(load_zoo(zoo_folder, index, spec))
    moved = transform(group, test, seed=budget.seed)
    versions = [transform(group, train, seed=1 + k).to(torch.float32) for k in range(augment)]
    readers: dict[str, tuple[Callable[[], nn.Module], list[Models]]] = {
        "emitted network": (lambda: AccuracyReader(module.MetaNet(), train.theta), [train]),
        "statistics": (lambda: baselines.statistics_mlp(train.theta), [train]),
        "flattened": (lambda: baselines.flat_mlp(train.theta), [train]),
    }
    if versions:
        readers["statistics + group"] = (lambda: baselines.statistics_mlp(train.theta), versions)
        readers["flattened + group"] = (lambda: baselines.flat_mlp(train.theta), versions)
    rows = {}
    for name, (make, data) in readers.items():
        reader = seeded(make, budget.seed)
        start = time.perf_counter()
        fit(reader, data, validation, budget, name)
        rows[name] = measure(reader, test, moved) | {"seconds": time.perf_counter() - start}
    results = {
        "spec": str(spec_path),
        "emitted": str(emitted),
        "zoo": index["settings"],
        "split": {"train": len(train), "validation": len(validation), "test": len(test)},
        "budget": asdict(budget),
        "function_change": function_change(spec, test, moved),
        "readers": rows,
    }
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


def report(results: dict[str, Any]) -> None:
    """Print the table, the invariance error and where the emitted file is."""
    readers = results["readers"]
    ours = readers["emitted network"]
    table = Table(title=f"{results['split']['test']} held-out models", box=box.SIMPLE_HEAD)
    table.add_column("reader of weights", no_wrap=True)
    for column in ("parameters", "tau", "tau after g", "change", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, row in readers.items():
        table.add_row(
            name,
            f"{row['parameters']:,}",
            f"{row['tau']:.3f}",
            f"{row['tau_transformed']:.3f}",
            f"{row['change_float32']:.1e}",
            f"{row['seconds']:.1f}",
        )
    Console().print(table)
    print(
        "tau: Kendall's rank correlation of predicted and true test accuracy; its standard error is about "
        f"{ours['tau_standard_error']:.2f}\n"
        "g: a random element of the group for each model; it changes the models' own logits by "
        f"{results['function_change']:.0e}\n"
        "change: the largest change of a prediction under g, relative to the largest prediction"
    )
    if "statistics + group" in readers:
        print("+ group: trained on randomly transformed models")
    print(
        f"invariance error of the emitted network: {ours['change_float32']:.1e} in float32, "
        f"{ours['change_float64']:.1e} in float64"
    )
    print(f"emitted file: {results['emitted']}")


def main() -> None:
    """Parse the command line, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--zoo", type=Path, required=True, help="folder that zoo.py wrote")
    parser.add_argument("--spec", type=Path, default=Path("specs/mlp.sym"), help="the models' spec")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--epochs", type=int, default=Budget.epochs)
    parser.add_argument("--seed", type=int, default=Budget.seed)
    parser.add_argument(
        "--augment",
        type=int,
        default=0,
        metavar="K",
        help="train the plain readers once more, on K randomly transformed versions of the models",
    )
    # Two threads gain little at these sizes, and lose much where the cores are shared.
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    budget = Budget(epochs=args.epochs, seed=args.seed)
    report(compare(args.zoo, args.spec, args.out, budget, args.augment))


if __name__ == "__main__":
    main()
