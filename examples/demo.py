"""The whole story in under two minutes: `make demo`.

    python examples/demo.py

Trains a zoo of small networks, emits a network from `specs/mlp.sym`, trains it and two plain readers of
weights to predict the zoo's test accuracies, and prints how well each does, how much a random element of the
group changes their answers, and where the emitted file is. Everything is written below `build/demo`.
"""

from __future__ import annotations

import time
from pathlib import Path

import predict_accuracy
import torch
import zoo

ROOT = Path(__file__).resolve().parent.parent
OUT = Path("build/demo")


def main() -> None:
    """Run zoo.py and predict_accuracy.py on a small scale."""
    start = time.perf_counter()
    torch.set_num_threads(1)  # small matrices: a second thread gains little
    zoo.build_zoo(OUT / "zoo", zoo.Settings(models=300))
    results = predict_accuracy.compare(
        OUT / "zoo", ROOT / "specs" / "mlp.sym", OUT, predict_accuracy.Budget(epochs=20)
    )
    predict_accuracy.report(results)
    print(f"done in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
