"""The examples: the zoo is what it says, and the three readers of weights learn from it."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import qecompile as qe

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "specs" / "mlp.sym"
sys.path.insert(0, str(ROOT / "examples"))  # they import one another, as scripts in one folder do

baselines = importlib.import_module("baselines")
predict_accuracy = importlib.import_module("predict_accuracy")
zoo = importlib.import_module("zoo")

SMALL = zoo.Settings(models=40, seed=3, max_steps=300)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    zoo.build_zoo(folder, SMALL, progress=False)
    return folder


@pytest.fixture(scope="module")
def index(folder):
    return zoo.read_index(folder)


@pytest.fixture(scope="module")
def spec():
    return qe.load(SPEC, widths=list(SMALL.widths))


@pytest.fixture(scope="module")
def models(folder, index, spec):
    return predict_accuracy.load_zoo(folder, index, spec)


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


# --- the zoo ------------------------------------------------------------------------------------------


def test_another_process_gives_the_same_bytes(folder, tmp_path):
    command = [sys.executable, str(ROOT / "examples" / "zoo.py"), "--out", str(tmp_path)]
    options = [f"--models={SMALL.models}", f"--seed={SMALL.seed}", f"--max-steps={SMALL.max_steps}"]
    done = subprocess.run(command + options, capture_output=True, text=True, check=True)
    assert "40 models" in done.stdout
    assert "training the zoo" in done.stderr  # the progress bar
    assert contents(tmp_path) == contents(folder)


def test_training_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    zoo.train(zoo.Settings(models=2, max_steps=30), zoo.load_data(), progress=False)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_another_seed_gives_other_models(tmp_path, index):
    other = zoo.build_zoo(tmp_path, zoo.Settings(models=40, seed=4, max_steps=30), progress=False)
    assert not {m["sha256"] for m in other["models"]} & {m["sha256"] for m in index["models"]}


def test_accuracies_spread(index):
    accuracy = sorted(m["test_accuracy"] for m in index["models"])
    assert accuracy[0] < 0.2
    assert accuracy[-1] > 0.8
    assert accuracy[30] - accuracy[10] > 0.2


def test_a_complete_zoo_is_not_trained_again(folder, index, monkeypatch):
    monkeypatch.setattr(zoo, "train", lambda *_: pytest.fail("trained again"))
    assert zoo.build_zoo(folder, SMALL, progress=False) == index


@pytest.mark.parametrize("damage", [Path.unlink, lambda p: p.write_bytes(b"?")])
def test_a_damaged_zoo_is_trained_again(tmp_path, damage):
    settings = zoo.Settings(models=3, max_steps=25)
    first = zoo.build_zoo(tmp_path, settings, progress=False)
    damage(tmp_path / "model_0001.safetensors")
    assert zoo.read_index(tmp_path) is None
    assert zoo.build_zoo(tmp_path, settings, progress=False) == first
    assert zoo.read_index(tmp_path) == first


def test_a_smaller_zoo_leaves_no_models_of_a_larger_one(tmp_path):
    for count in (4, 2):
        zoo.build_zoo(tmp_path, zoo.Settings(models=count, max_steps=25), progress=False)
    assert sorted(contents(tmp_path)) == ["index.json", "model_0000.safetensors", "model_0001.safetensors"]


def test_files_carry_accuracy_and_hyperparameters(folder, index):
    for model in index["models"]:
        with safe_open(folder / model["file"], "pt") as file:
            about = json.loads(file.metadata()["zoo"])
        assert about == {k: model[k] for k in ("test_accuracy", "hyperparameters")}
        assert about["hyperparameters"]["steps"] <= SMALL.max_steps


def test_a_sequential_network_reproduces_the_stored_accuracy(folder, index):
    data = zoo.load_data()
    for model in index["models"]:
        layers = [nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 10)]
        net = nn.ModuleDict({"layers": nn.Sequential(*layers)}).double()
        net.load_state_dict(load_file(folder / model["file"]))
        predicted = net["layers"](data.test_images.double()).argmax(1)
        assert (predicted == data.test_labels).sum().item() / zoo.TEST_IMAGES == model["test_accuracy"]


# --- loading and the group ----------------------------------------------------------------------------


def test_weights_are_loaded_under_the_names_of_the_spec(folder, index, spec, models):
    file = load_file(folder / index["models"][7]["file"])
    assert {k: tuple(w.shape[1:]) for k, w in models.theta.items()} == {
        name: p.shape for name, p in spec.params.items()
    }
    assert torch.equal(models.theta["W[2]"][7], file["layers.2.weight"])
    assert torch.equal(models.theta["b[3]"][7], file["layers.4.bias"])
    assert models.accuracy[7] == torch.tensor(index["models"][7]["test_accuracy"])


def test_the_split_takes_every_model_once(models):
    parts = predict_accuracy.split(models)
    assert [len(part) for part in parts] == [24, 6, 10]
    assert torch.equal(torch.cat([part.accuracy for part in parts]), models.accuracy)


def test_group_elements_move_the_weights_and_keep_the_functions(spec, models):
    moved = predict_accuracy.transform(qe.Group(spec), models, seed=0)
    before, after = models.theta["W[1]"].double(), moved.theta["W[1]"]
    assert (after - before).abs().amax((1, 2)).min() > 0.1  # every model moves
    assert predict_accuracy.function_change(spec, models, moved) < 1e-13


# --- the readers --------------------------------------------------------------------------------------


def test_statistics_of_known_weights():
    theta = {"W": torch.tensor([[[0.0, 1.0], [2.0, 5.0]]]), "b": torch.tensor([[3.0, 3.0]])}
    expected = [2.0, 3.5, 0.0, 0.75, 1.5, 2.75, 5.0, 3.0, 0.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    assert torch.equal(baselines.weight_statistics(theta), torch.tensor([expected]))


def test_flattened_weights():
    theta = {"W": torch.arange(4.0).reshape(1, 2, 2), "b": torch.tensor([[4.0, 5.0]])}
    assert torch.equal(baselines.flatten_weights(theta), torch.arange(6.0)[None])


@pytest.mark.parametrize("make", [baselines.flat_mlp, baselines.statistics_mlp])
def test_baselines_learn_and_are_reproducible(models, make):
    budget = predict_accuracy.Budget(epochs=20)
    taus = []
    for _ in range(2):
        reader = predict_accuracy.seeded(lambda: make(models.theta), seed=0)
        predict_accuracy.fit(reader, [models], models, budget, "test")
        taus.append(predict_accuracy.score(reader, models))
    assert taus[0] == taus[1] > 0.5


def test_a_constant_prediction_scores_zero(models):
    reader = predict_accuracy.seeded(lambda: baselines.flat_mlp(models.theta), seed=0)
    nn.init.zeros_(reader.mlp[-1].weight)
    assert predict_accuracy.score(reader, models) == 0.0


def test_the_comparison_end_to_end(folder, tmp_path, capsys):
    budget = predict_accuracy.Budget(epochs=3)
    results = predict_accuracy.compare(folder, SPEC, tmp_path, budget, augment=2)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    ours = results["readers"]["emitted network"]
    assert ours["change_float32"] < 1e-4
    assert ours["change_float64"] < 1e-12
    assert results["readers"]["flattened"]["change_float64"] > 0.1
    assert "import qecompile" not in Path(results["emitted"]).read_text()

    predict_accuracy.report(results)
    printed = capsys.readouterr().out
    for part in (*results["readers"], "invariance error of the emitted network", results["emitted"]):
        assert part in printed.replace("\n", "")


def test_a_missing_zoo_is_said_plainly(tmp_path):
    with pytest.raises(SystemExit, match="holds no complete zoo"):
        predict_accuracy.compare(tmp_path / "none", SPEC, tmp_path, predict_accuracy.Budget())
