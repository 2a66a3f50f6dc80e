"""Verdicts on alpha-maps of networks that put out weights, against the orbits of what they put out.

A dead alpha moves the output along its orbit only: the derivative of the output by each weight of alpha lies
in the tangent space of the orbit there. A live one leaves it. The tangent space is taken from the checker of
certificates, which shares no code with the compiler.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from emitted import module_of, weights
from sym_examples import ROOT
from torch import Tensor

from qecompile.judgement import judge_network
from qecompile.recheck.elaborate import elaborate
from qecompile.recheck.elements import Draws
from qecompile.recheck.orbit import Algebra
from qecompile.resolve import parse

PLANE = "space s = 3 : permute {{ space e = 2 : {} }}  param q : s e"
CASES = {
    "one complex number per index, turned and dilated": (PLANE.format("rotate * dilate"), "covariant", False),
    "one complex number per index, turned only": (PLANE.format("rotate"), "covariant", True),
    "complex multiples of one tensor": (
        "space s = 3 : permute * scale { space e = 2 : rotate * dilate }  space v = 2 : linear  "
        "space o = 3 : orthogonal  param q : s e o v",
        "covariant",
        False,
    ),
    "complex multiples, but for what scales them": (
        "space s = 3 : permute { space e = 2 : rotate }  space o = 3 : orthogonal  param q : s e o",
        "covariant",
        True,
    ),
    "two planes at once": (
        "space s = 2 : fixed { space e = 2 : rotate * dilate }  space o = 3 : orthogonal  param q : s e e o",
        "covariant",
        True,
    ),
    "planes that another tensor shares": (
        "space D = 3 : permute  space s = 2 : fixed { space e = 2 : rotate * dilate }  "
        "param q : s e <- D  param k : s e* <- D",
        "covariant",
        True,
    ),
    "scales that are all there is": (
        "space h = 3 : permute * scale  space x = 2 : permute  param b : h  param d : x",
        "covariant",
        False,
    ),
    "scales shared by two tensors": (
        "space h = 3 : permute * scale  space x = 2 : fixed  param W : h <- x  param b : h",
        "covariant",
        True,
    ),
    "the same, moved as a whole": (
        "space h = 3 : permute * scale  space x = 2 : fixed  param W : h <- x  param b : h",
        "shared",
        False,
    ),
    "one constant for all neurons, which bases can undo": (
        "space i = 3 : scale { space v = 2 : linear }  space h = 2 : permute * scale * sign  "
        "param p : [i*^0, v, h*]  param q : [i, v*]",
        "covariant",
        False,
    ),
    "one constant for all signed indices, and a vector": (
        "space i = 2 : sign { space o = 3 : orthogonal * dilate  "
        "space j = 3 : permute * sign { space d = 1 : dilate } }  "
        "param p : [i*^3, j, d*]  param q : [i, j, d, o^-2]",
        "covariant",
        False,
    ),
    "bases of heads": (
        "space D = 3 : permute  space s = 2 : permute { space v = 2 : linear }  "
        "param Q : s v <- D  param K : s v* <- D",
        "covariant",
        True,
    ),
    "bases of heads, moved as a whole": (
        "space D = 3 : permute  space s = 2 : permute { space v = 2 : linear }  "
        "param Q : s v <- D  param K : s v* <- D",
        "shared",
        False,
    ),
}


def leaves_orbit(text: str, folder: Path, seed: int) -> float:
    """How far some weight of alpha moves the output out of its orbit, per unit, as a share of its entries."""
    (folder / "it.sym").write_text(text)
    spec, torch_seed = parse(text), torch.manual_seed(seed)
    draws = Draws(elaborate(folder / "it.sym", "s", {}, ROOT / "grammars" / "sym.lark"), seed)
    net = module_of(spec).MetaNet(dtype=torch.float64)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=torch_seed, dtype=p.dtype) / max(1, *p.shape[:1]) ** 0.5)
    y = net(weights(spec, 1, seed))
    algebra, start = Algebra(draws), {name: t.detach() for name, t in y.items()}
    size = {name: t.abs().max().clamp(min=1e-300) for name, t in start.items()}  # dead units put out 0

    def moved(vector: Tensor) -> Tensor:
        found = draws.act(algebra.element(vector), start, channels=False)
        return torch.cat([t.flatten() / size[name] for name, t in found.items()])

    tangents = torch.func.jacfwd(moved)(torch.zeros(algebra.size, dtype=torch.float64))
    basis, sizes, _ = torch.linalg.svd(tangents, full_matrices=False)
    basis = basis[:, sizes > 1e-10 * sizes.max()]
    alphas = [p for name, p in net.named_parameters() if name.startswith("alpha")]
    slopes = []
    for entry in torch.cat([t.flatten() / size[name] for name, t in y.items()]):
        found = torch.autograd.grad(
            entry, alphas, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        slopes.append(torch.cat([t.flatten() for t in found]))
    by_weight = torch.stack(slopes)
    return float((by_weight - basis @ (basis.T @ by_weight)).abs().max())


@pytest.mark.parametrize(("spaces", "family", "live"), CASES.values(), ids=CASES.keys())
def test_the_verdict_is_what_orbits_say(spaces: str, family: str, live: bool, tmp_path: Path) -> None:
    text = f"spec s {{ {spaces}\n metanet m {{ channels 1, 3, 3  alpha {family}()  readout equivariant }} }}"
    assert judge_network(parse(text)).verdict.live == live
    found = max(leaves_orbit(text, tmp_path, seed) for seed in range(4))
    assert found > 1e-6 if live else found < 1e-11
