"""Emitted files written to deceive the checker, under certificates of which all hashes are right.

Some reach for the interpreter, to change what judges them or to end it early; some are right whenever they
believe to be looked at: at the first call, for most values, at most channels, in one mode. None is confirmed.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from certificates import MLP, SQUARE, Case, remade
from sym_examples import SPECS

import qecompile as qe
from qecompile.recheck.source import suspicious
from qecompile.spec import Alpha, MetaNet

LINE = "    b_mean = b.mean(1)\n"
START = "SHAPES: dict"


@pytest.fixture
def square(tmp_path: Path) -> Case:
    return Case(tmp_path, SQUARE)


def at_import(text: str) -> list[tuple[str, str]]:
    """A mutant with more code above its constants."""
    return [(START, f"{text}\n\n\n{START}")]


def instead(mean: str, before: str = "") -> list[tuple[str, str]]:
    """A mutant that has something else for one mean, and perhaps lines in front of it."""
    return [(LINE, f"{before}    b_mean = {mean}\n")]


# --- what reaches out is not run ----------------------------------------------------------------------

REACHES_OUT = {
    "it leaves early": "raise SystemExit(0)",
    "it leaves by a signal of Python": "raise KeyboardInterrupt",
    "it leaves through ctypes": "torch.ones(1).numpy().ctypes._ctypes.CDLL(None).exit(0)",
    "it writes a file": "torch.ones(1).numpy().tofile('MARK')",
    "it finds builtins in a frame": "(x for x in SHAPES).gi_frame.f_builtins['open']('MARK', 'w')",
    "it formats its way to globals": "'{0.__globals__}'.format(print)",
    "it has code generated": "torch.fx.Graph().on_generate_code(print)",
    "it changes a class of torch": "def __init__(self):\n    self.abs = 0\n\n\n__init__(Tensor)",
    "it changes a class in a method": "class A(nn.Module):\n    def __init__(self):\n        self.abs = 0\n\n"
    "A.__init__(Tensor)",
    "it changes a class as a context": "class A(torch.autograd.Function):\n"
    "    def setup_context(ctx, inputs, output):\n        ctx.abs = 0\n\n\nA.setup_context(Tensor, 0, 0)",
    "it makes a class in the dark": "Evil = type('Evil', (Tensor,), {'__torch_function__': print})",
    "it makes a class by a class": "Evil = type(nn.Module)('Evil', (Tensor,), {})",
    "it extends tensors": "class Evil(Tensor):\n    pass",
    "it compares for itself": "class Evil(nn.Module):\n    def __eq__(self, other):\n        return True",
    "it chooses its metaclass": "class Evil(nn.Module, metaclass=Tensor):\n    pass",
    "it decorates": "@torch.compile\ndef f(x):\n    return x",
    "it runs when a class is made": "class Evil(nn.Module):\n    print('all confirmed')",
    "it runs when a function is made": "def f(x=print('all confirmed')):\n    return x",
    "it renames torch": "def f(torch):\n    return torch.mean",
    "it says that all is well": "print('all confirmed')",
    "it waits for a name": "import torch.fx as torch",
    "it hides behind a lambda": "f = lambda x: x",
    "it sets what torch remembers": "torch.set_num_threads(1)",
    "it gives a constant by a call": "LARGE = torch.zeros(1)",
    "it works until it fails": "def f(x):\n    try:\n        return x\n    finally:\n        f(x)",
    "it ends a loop never": "def f(x):\n    while True:\n        pass",
    "it keeps a number outside": "def f(x):\n    global LARGE\n    LARGE = x",
    "it defines what torch looks for": "def numpy(self):\n    return self\n\n\nx = Tensor.numpy",
}


@pytest.mark.parametrize("text", REACHES_OUT.values(), ids=REACHES_OUT.keys())
def test_what_reaches_out_is_not_run(
    text: str, square: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(square.folder)
    assert remade(square, at_import(text)) == 1
    assert "no emitted file does, and it is not run" in capsys.readouterr().out
    assert not (square.folder / "MARK").exists()


# --- what is right only when it is looked at ----------------------------------------------------------

DECEIVES = {
    "at first": [
        *instead("b.mean(1) if next(COUNT) < 900 else b[:, 0]"),
        (START, f"COUNT = itertools.count()\n{START}"),
        ("import torch\n", "import itertools\nimport torch\n"),
    ],
    "while a list is short": [
        *instead("b.mean(1) if len(SEEN) < 900 else b[:, 0]", "    SEEN.append(1)\n"),
        (START, f"SEEN = []\n{START}"),
    ],
    "while a module keeps little": [
        ("        self.reset_parameters()", "        self.seen = []\n        self.reset_parameters()"),
        ("        n = self.out_channels\n", "        self.seen.append(1)\n        n = self.out_channels\n"),
        ("        return {", "        y_h = y_h if len(self.seen) < 900 else y_h * 0\n        return {"),
    ],
    "while a buffer is low": [
        (
            "        self.reset_parameters()",
            '        self.register_buffer("seen", torch.zeros(()))\n        self.reset_parameters()',
        ),
        ("        n = self.out_channels\n", "        self.seen.add_(1)\n        n = self.out_channels\n"),
    ],
    "while a default is short": [
        ("def reduce_features(x: dict[str, Tensor])", "def reduce_features(x: dict[str, Tensor], seen=[])")
    ],
    "unless a coin falls badly": instead("b.mean(1) + 0 * b.new_empty(1).normal_()"),
    "unless a number is met": instead("torch.where(b == 1234.5, b + 1, b).mean(1)"),
    "unless numbers are large": instead("(b - 1e-9 * b.clamp(min=1e12)).mean(1) + 1e3"),
    "unless a large number decides": instead("b.mean(1) if b.abs().max().item() < 1e9 else b[:, 0]"),
    "unless numbers are not whole": instead("b.to(torch.int64).to(b.dtype).mean(1)"),
    "unless it is evaluated": [
        ("        n = self.out_channels\n", "        n = 3 if self.training else 2\n")
    ],
    "unless it is compiled": instead("b[:, 0] if torch.compiler.is_compiling() else b.mean(1)"),
    "unless it is autocast": instead('b[:, 0] if torch.is_autocast_enabled("cpu") else b.mean(1)'),
    "in float64": instead("b.mean(1) if b.dtype == torch.float64 else b[:, 0]"),
    "at few channels": [("        y_h = ", "        y_h = (self.in_channels != 3) * ")],
    "for all but two entries": instead("b.mean(1) if len(b) != 2 else b[:, 0]"),
    "in values, not in gradients": instead("b.mean(1).detach() + 0 * b.mean(1)"),
}


@pytest.mark.parametrize("mutant", DECEIVES.values(), ids=DECEIVES.keys())
def test_what_is_right_only_when_it_is_looked_at_is_refused(
    mutant: list[tuple[str, str]], square: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    assert remade(square, mutant) == 1
    assert "WRONG: " in capsys.readouterr().out


END = "        return self.readout(x)"
FIRST = "        self.linear1 = "
NETWORK_DECEIVES = {
    "it remembers": [
        (FIRST, f"        self.seen = {{}}\n{FIRST}"),
        ("        x = {name", '        self.seen["x"] = theta["W"]\n        x = {name'),
    ],
    "it keeps an iterator": [(FIRST, f"        self.seen = zip([1])\n{FIRST}")],
    "it decides by a value": [(END, f'{END} * (1 if theta["W"].sum() < 99 else 2)')],
    "it is another in float32": [(END, f'{END} * (1 if theta["W"].dtype == torch.float64 else 2)')],
    "it is another when it is evaluated": [(END, f"{END} * (2 - self.training)")],
    "it draws numbers": [(END, f"{END} + 1e-9 * theta['W'].new_empty(1).normal_()")],
}


@pytest.mark.parametrize("mutant", NETWORK_DECEIVES.values(), ids=NETWORK_DECEIVES.keys())
def test_networks_that_deceive_are_refused(mutant: list[tuple[str, str]], tmp_path: Path) -> None:
    assert remade(Case(tmp_path, MLP), mutant) == 1


# --- what emitted files say is known ------------------------------------------------------------------

SMALL = {
    "bert": {"layers": 1, "width": 8, "heads": 2, "hidden": 6, "vocab": 5, "length": 4},
    "gpt2": {"layers": 1, "width": 8, "heads": 2, "hidden": 6, "vocab": 5, "length": 4},
    "llama": {"layers": 1, "width": 6, "groups": 2, "queries": 2, "size": 4, "hidden": 5, "vocab": 3},
}


@pytest.mark.parametrize("family", [None, "shared", "covariant", "independent"])
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_word_of_emitted_files_is_known(path: Path, family: str | None, tmp_path: Path) -> None:
    spec = qe.load(path, **SMALL.get(path.stem, {}))
    alpha = Alpha.model_validate({"family": family}) if family else None
    net = MetaNet(name="m", channels=(1, 4), alpha=alpha, outputs=2)
    qe.emit(spec.model_copy(update={"metanets": (net,)}), tmp_path / "m.py", kernels=False)
    assert list(suspicious(ast.parse((tmp_path / "m.py").read_text()))) == []
