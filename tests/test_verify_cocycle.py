"""Quasi-equivariance in the type system: what an alpha may do, and what mixes after it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import qecompile as qe
from qecompile.codegen.emit import emit_source
from qecompile.verify.equivariance import check_module

MLP = qe.parse("""
spec mlp {
  space x = 4 : fixed
  space h = 3 : permute * scale
  space y = 2 : fixed
  param W : h <- x
  param b : h
  param V : y <- h
}
""")
HEADS = qe.parse("""
spec heads {
  space D = 4 : permute
  space head = 3 : permute { space q = 2 : linear }
  param Q : head q <- D
  param K : head q* <- D
}
""")
TURNS = qe.parse("""
spec turns {
  space r = 3 : rotate
  param v : r
  param M : r r
}
""")
C = 5
Theta = dict[str, Tensor]


class Gamma(nn.Module):
    """A small network on raw statistics of everything: `count` numbers for each entry (and channel)."""

    def __init__(self, spec, count: int, shared: bool = True) -> None:
        super().__init__()
        self.shared = shared
        self.net = nn.Linear(2 * len(spec.params), count)

    def forward(self, theta: Theta) -> Tensor:
        found = []
        for t in theta.values():
            over = tuple(range(1, t.dim() - 1 + self.shared))
            found += [t.mean(over), t.std(over)]
        return self.net(torch.stack(found, -1))  # [B, count] or [B, C, count]


class Scale(nn.Module):
    """alpha on `h`; `apply` says how."""

    def __init__(self, apply: Callable[..., Theta], epsilon: float = 0.5, shared: bool = True) -> None:
        super().__init__()
        self.gamma, self.epsilon, self.apply_ = Gamma(MLP, 3, shared), epsilon, apply

    def forward(self, theta: Theta) -> Theta:
        gamma = self.gamma(theta)
        s = 1 + self.epsilon * torch.sin(gamma)  # [B, h], or [B, C, h]
        s = s[..., None] if self.gamma.shared else s.movedim(1, -1)
        return self.apply_(theta, s)


def everywhere(theta: Theta, s: Tensor) -> Theta:
    return {"W": theta["W"] * s[:, :, None], "b": theta["b"] * s, "V": theta["V"] / s[:, None]}


def judged(spec, module: nn.Module, **options: object):
    return check_module(spec, module, channels=C, search=False, **options)


@pytest.mark.parametrize("shared", [True, False])
def test_an_alpha_on_every_tensor_is_quasi_equivariant(shared: bool) -> None:
    verdict = judged(MLP, Scale(everywhere, shared=shared))
    assert verdict.ok, verdict.refusal
    assert verdict.claim == "quasi-equivariant"
    assert verdict.cocycle.startswith("h.scale by ")


@pytest.mark.parametrize(
    ("apply", "why"),
    [
        (lambda t, s: {**everywhere(t, s), "b": t["b"]}, "do not act as one element"),
        (lambda t, s: {**everywhere(t, s), "V": t["V"] * s[:, None]}, "do not act as one element"),
        (lambda t, s: {**everywhere(t, s), "W": t["W"] * s[:, :, None] ** 2}, "do not act as one element"),
        (lambda t, s: {**everywhere(t, s), "b": t["b"] * s.flip(1)}, "do not act as one element"),
        (lambda t, s: {**everywhere(t, s), "b": t["b"] + s}, "multiplied by different numbers"),
        (lambda t, s: {**everywhere(t, s), "b": t["b"] * (s - 0.6)}, "between -0.1 and 0.9"),
    ],
    ids=["one left out", "dual not divided", "power", "other places", "added", "not positive"],
)
def test_an_alpha_must_act_as_one_element(apply: Callable[..., Theta], why: str) -> None:
    verdict = judged(MLP, Scale(apply))
    assert not verdict.ok
    assert why in str(verdict.refusal)


@pytest.mark.parametrize(("epsilon", "ok"), [(0.1, True), (0.99, True), (1.0, False), (1.5, False)])
def test_epsilon_keeps_alpha_in_the_group(epsilon: float, ok: bool) -> None:
    verdict = judged(MLP, Scale(everywhere, epsilon))
    assert verdict.ok == ok
    assert ok or "epsilon below 1" in str(verdict.refusal)


class Mixing(nn.Module):
    """A linear map of the channels after an alpha."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.alpha, self.mix = Scale(everywhere, shared=shared), nn.Linear(C, C, bias=False)

    def forward(self, theta: Theta) -> Theta:
        return {name: self.mix(t) for name, t in self.alpha(theta).items()}


def test_channels_may_be_mixed_after_a_shared_alpha() -> None:
    assert judged(MLP, Mixing(shared=True)).claim == "quasi-equivariant"


def test_channels_may_not_be_mixed_after_an_independent_alpha() -> None:
    verdict = judged(MLP, Mixing(shared=False))
    assert not verdict.ok
    assert verdict.refusal is not None
    assert verdict.refusal.rule == "linear"
    assert "different numbers of an alpha" in verdict.refusal.reason
    assert "self.mix(t)" in verdict.refusal.source


class Readout(nn.Module):
    """W relu, V contracted over h: alpha cancels, channel by channel."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.alpha = Scale(everywhere, shared=shared)

    def forward(self, theta: Theta) -> Tensor:
        theta = {name: torch.relu(t) for name, t in self.alpha(theta).items()}
        return torch.einsum("bhxc,byhc->byxc", theta["W"], theta["V"]).tanh().flatten(1)


@pytest.mark.parametrize("shared", [True, False])
def test_an_invariant_readout_erases_alpha(shared: bool) -> None:
    verdict = judged(MLP, Readout(shared))
    assert verdict.ok, verdict.refusal
    assert verdict.claim == "invariant"


# --- matrices -----------------------------------------------------------------------------------------------


class Matrices(nn.Module):
    """alpha on the bases of heads: I + epsilon sin(Gamma), its transposed inverse on dual axes."""

    def __init__(
        self, epsilon: float = 0.4, dual: Callable[[Tensor], Tensor] | None = None, half: bool = False
    ):
        super().__init__()
        self.gamma, self.epsilon, self.half = Gamma(HEADS, 3 * 2 * 2), epsilon, half
        self.dual = dual or (lambda m: torch.linalg.inv(m).mT)
        self.register_buffer("eye", torch.eye(2))

    def forward(self, theta: Theta) -> Theta:
        m = self.eye + self.epsilon * torch.sin(self.gamma(theta).unflatten(-1, (3, 2, 2)))
        k = theta["K"] if self.half else torch.einsum("bhij,bhjdc->bhidc", self.dual(m), theta["K"])
        return {"Q": torch.einsum("bhij,bhjdc->bhidc", m, theta["Q"]), "K": k}


def test_matrices_move_vectors_and_their_inverses_dual_ones() -> None:
    verdict = judged(HEADS, Matrices())
    assert verdict.ok, verdict.refusal
    assert verdict.cocycle.startswith("q by ")


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (Matrices(epsilon=0.5), "below 1/2 only"),
        (Matrices(dual=lambda m: m), "wrong matrix"),
        (Matrices(dual=torch.linalg.inv), "wrong matrix"),
        (Matrices(half=True), "moved by other matrices"),
    ],
    ids=["epsilon", "not dual", "not transposed", "half"],
)
def test_matrices_that_do_not_make_an_element(module: nn.Module, why: str) -> None:
    verdict = judged(HEADS, module)
    assert not verdict.ok
    assert why in str(verdict.refusal)


class Turn(nn.Module):
    """alpha on a rotate space, from a matrix of raw numbers."""

    def __init__(self, make: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.gamma, self.make = Gamma(TURNS, 9), make

    def forward(self, theta: Theta) -> Theta:
        m = self.make(0.3 * torch.sin(self.gamma(theta).unflatten(-1, (3, 3))))
        v = torch.einsum("bij,bjc->bic", m, theta["v"])
        rows = torch.einsum("bij,bjlc->bilc", m, theta["M"])
        return {"v": v, "M": torch.einsum("bkl,bilc->bikc", m, rows)}


def cayley(g: Tensor) -> Tensor:
    skew, eye = g - g.mT, torch.eye(3)
    return torch.linalg.solve(eye - skew, eye + skew)


def expanded(g: Tensor) -> Tensor:
    skew = (g - g.mT).mT.mT
    eye = torch.eye(3).expand_as(skew)
    return torch.linalg.solve(eye - skew, eye + skew)


def transposed(g: Tensor) -> Tensor:
    skew, eye = g - g.mT, torch.eye(3)
    return torch.linalg.solve(eye + skew, eye + skew.mT)


def by_inverse(g: Tensor) -> Tensor:
    skew, eye = g - g.mT, torch.eye(3)
    return (eye + skew) @ torch.linalg.inv((eye + skew).mT)


def same_twice(g: Tensor) -> Tensor:
    skew, eye = g - g.mT, torch.eye(3)
    return (eye + skew) @ torch.linalg.inv(eye + skew.mT.mT) @ (eye + skew)


@pytest.mark.parametrize(
    ("make", "ok"),
    [
        (cayley, True),
        (expanded, True),
        (transposed, True),
        (by_inverse, True),
        (same_twice, False),
        (lambda g: torch.linalg.matrix_exp(g - g.mT), True),
        (lambda g: torch.eye(3) + g, False),
        (lambda g: torch.linalg.matrix_exp(g), False),
        (lambda g: torch.linalg.matrix_exp(g + g.mT), False),
        (lambda g: torch.linalg.solve(torch.eye(3) - g, torch.eye(3) + g), False),
    ],
    ids=[
        "cayley",
        "expanded",
        "transposed",
        "by inverse",
        "same twice",
        "exponential",
        "near the identity",
        "exponential of any",
        "symmetric",
        "cayley of any",
    ],
)
def test_rotations_are_moved_by_rotations(make: Callable[[Tensor], Tensor], ok: bool) -> None:
    verdict = judged(TURNS, Turn(make))
    assert verdict.ok == ok, verdict.refusal


# --- matrices of every channel, in emitted networks ------------------------------------------------------

ROWS = """
spec rows {{
  space d = 2 : {word}
  space h = 3 : permute
  param M : d <- h
  param v : d
  param K : h <- d
  metanet m {{ channels 1, 3  alpha independent(epsilon = 0.2)  readout invariant -> 2 }}
}}
"""


@pytest.mark.parametrize("word", ["linear", "rotate", "orthogonal", "rotate * dilate"])
def test_invariants_of_channels_moved_apart_by_matrices_are_proved(word: str) -> None:
    """Rows of several tensors stand side by side, each with all channels; each channel has a matrix."""
    spec = qe.parse(ROWS.format(word=word))
    verdict = check_module(spec, qe.build(spec).MetaNet(), search=False)
    assert verdict.ok, verdict.refusal
    assert verdict.claim == "invariant"


SPLIT = "x_d.unflatten(-1, (2, self.channels))"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (SPLIT, "x_d.unflatten(-1, (self.channels, 2)).mT", "would hold a part of"),
        (SPLIT, f"({SPLIT} @ torch.ones(self.channels, self.channels))", "another matrix for each index"),
        ("torch.cat((M_by_d, v), dim=-1)", "torch.cat((M_by_d, v.flip(-1)), dim=-1)", "comes twice"),
        ("torch.cat((M_by_d, v), dim=-1)", "torch.cat((M_by_d, v.roll(1, -1)), dim=-1)", "comes twice"),
    ],
    ids=["channels and rows change places", "mixed", "channels reversed", "channels shifted"],
)
def test_invariants_that_mix_channels_moved_apart_by_matrices_are_refused(
    old: str, new: str, why: str
) -> None:
    spec = qe.parse(ROWS.format(word="orthogonal").replace("  param K : h <- d\n", ""))
    source = emit_source(spec)
    assert old in source
    module = ModuleType("mutant")
    exec(compile(source.replace(old, new, 1), "mutant", "exec"), module.__dict__)
    verdict = check_module(spec, module.MetaNet(), search=False)
    assert not verdict.ok
    assert why in str(verdict.refusal)
