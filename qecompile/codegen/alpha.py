"""The class `Alpha` of an emitted file: a group element computed from features, and its action on them.

`plan/alpha.py` decides what is computed. A group element is a dict by factor: numbers [B, *indices, C],
matrices [B, C, *indices, n, n]; C is 1 and left out of matrices where all channels share the element.
"""

from __future__ import annotations

from collections.abc import Iterator

from qecompile.codegen.alpha_covariant import (
    BOUNDED,
    COMPRESS,
    write_covariant_elements,
    write_covariant_init,
)
from qecompile.codegen.alpha_raw import element_shape, write_raw_elements, write_raw_init, write_statistics
from qecompile.codegen.gauge import place
from qecompile.codegen.writer import LETTERS, Variables, Writer
from qecompile.identifiers import Names
from qecompile.plan.alpha import AlphaPlan
from qecompile.plan.covariant import Commutator
from qecompile.plan.factors import Factor, Move
from qecompile.plan.invariants import InvariantPlan
from qecompile.spec import Param

SUMMARY = {
    "shared": "one group element, from statistics of all tensors, for every channel",
    "independent": "a group element for every channel, from statistics of that channel",
    "covariant": "a group element for every channel, which is conjugated as the group acts",
}

INVERSE = '''
def _inverse(x: Tensor) -> Tensor:
    """The inverse of matrices, computed in single precision at least."""
    return torch.linalg.inv(x.to(torch.promote_types(x.dtype, torch.float32))).to(x.dtype)


torch.fx.wrap("_inverse")  # a leaf of a symbolic trace: it looks at dtypes
'''

CAYLEY = '''
def _cayley(skew: Tensor, eye: Tensor) -> Tensor:
    """(I - S)^-1 (I + S), a rotation for a skew S, computed in single precision at least."""
    wide = torch.promote_types(skew.dtype, torch.float32)
    return torch.linalg.solve((eye - skew).to(wide), (eye + skew).to(wide)).to(skew.dtype)


torch.fx.wrap("_cayley")  # a leaf of a symbolic trace: it looks at dtypes
'''

SPREAD = '''
def _spread(x: Tensor) -> tuple[float, float, float]:
    """The least, the mean and the largest entry."""
    return x.min().item(), x.mean().item(), x.max().item()
'''


def write_alpha(w: Writer, plan: AlphaPlan, inv: InvariantPlan, variables: Variables) -> None:
    """The statistics, the action and the class."""
    if plan.family != "covariant":
        write_statistics(w, plan)
    if any(m.features is not None for m in plan.maps):
        w.block(COMPRESS)
    if any(isinstance(m.matrix, Commutator) for m in plan.maps):
        w.block(BOUNDED)
    if any(m.contra for f in plan.factors for m in f.moves):
        w.block(INVERSE)
    if any(f.is_matrix and f.word != "linear" for f in plan.factors):
        w.block(CAYLEY)
    w.block(SPREAD)
    _write_move(w, plan, variables)
    w.line()
    w.line()
    w.line("class Alpha(nn.Module):")
    with w.indent():
        w.line(f'"""An alpha-map, `{plan.family}`: {SUMMARY[plan.family]}.')
        w.line()
        w.lines(describe(plan))
        w.line('"""')
        names = factor_names(plan)
        if plan.family == "covariant":
            write_covariant_init(w, plan, inv, variables, names)
            write_covariant_elements(w, plan, inv, variables, names)
        else:
            write_raw_init(w, plan, names)
            write_raw_elements(w, plan, variables, names)
        _write_forward(w, plan)
        _write_distances(w, plan)


def describe(plan: AlphaPlan) -> list[str]:
    """What the element is on every factor, and which factors stay the identity."""
    lines = []
    for f in plan.factors:
        lines.append(f"{f.label}: {_formula(f, plan)}.")
    for label in plan.idle:
        lines.append(f"{label}: the identity; no features of degree one or two give a covariant map.")
    return lines


def _formula(f: Factor, plan: AlphaPlan) -> str:
    e = f"{plan.epsilon:g}"
    raw = plan.family != "covariant"
    if not f.is_matrix:
        return f"1 + {e} sin(gamma), positive"
    if f.word == "linear":
        return f"I + {e} sin(" + ("Gamma), invertible" if raw else "gamma) P Q^T, invertible")
    if raw:
        return f"the Cayley transform of {e} (sin(Gamma) - sin(Gamma)^T), a rotation"
    return f"the Cayley transform of {e} sin(gamma) K, K skew, a rotation"


def factor_names(plan: AlphaPlan) -> dict[str, str]:
    """A name for every factor, by label; all that is called after it has a prefix."""
    names = Names()
    return {f.label: names.fresh(f.label) for f in plan.factors}


# The action


def _write_move(w: Writer, plan: AlphaPlan, variables: Variables) -> None:
    names = factor_names(plan)
    w.line()
    w.line()
    w.line("def move(x: dict[str, Tensor], g: dict[str, Tensor]) -> dict[str, Tensor]:")
    with w.indent():
        w.line(
            '"""Act with a group element: numbers to the power of each charge, matrices on vector axes."""'
        )
        for f in plan.factors:
            _write_received(w, f, plan, variables, names[f.label])
        items = []
        for p in variables.spec.parameters:
            turned = _write_contracted(w, p, plan, names, f"moved_{variables.of[p.name]}")
            items.append(f'"{p.name}": {turned}{_multiplied(p, plan, names)}')
        w.call("return {", items, "}")


def _write_received(w: Writer, f: Factor, plan: AlphaPlan, variables: Variables, name: str) -> None:
    """Take an element out of the dict, and the inverse transpose of a matrix."""
    contra = any(m.contra for m in f.moves)
    if f.label in plan.low_rank:
        shape = ", ".join(["B", *(variables.short[s] for s in f.lineage)])
        w.line(f"# {f.label}: I + p t q^T" + (", with the inverse I - p s q^T" if contra else ""))
        w.line(f't_{name} = g["{f.label}:t"]  # [{shape}, C]')
        columns = f"[{shape}, {variables.short[f.space]}, {plan.low_rank[f.label].columns}]"
        w.line(f'p_{name}, q_{name} = g["{f.label}:p"], g["{f.label}:q"]  # {columns}')
        if contra:
            w.line(f's_{name} = g["{f.label}:s"]')
        return
    variable = f"matrix_{name}" if f.is_matrix else f"scale_{name}"
    w.commented(f'{variable} = g["{f.label}"]', element_shape(f, plan, variables))
    if contra:
        w.line(f"dual_{name} = _inverse(matrix_{name}).mT")


def _moves_of(p: Param, plan: AlphaPlan, *, matrix: bool) -> Iterator[tuple[Factor, Move]]:
    """How the factors of one kind act on a parameter."""
    for f in plan.factors:
        if f.is_matrix == matrix:
            yield from ((f, m) for m in f.moves if m.param == p.name)


def _write_contracted(w: Writer, p: Param, plan: AlphaPlan, names: dict[str, str], variable: str) -> str:
    """Apply the matrices that act on a parameter, one by one; gives the variable with the result."""
    text = f'x["{p.name}"]'
    for f, m in _moves_of(p, plan, matrix=True):
        if f.label in plan.low_rank:
            _write_update(w, text, p, m, names[f.label], variable)
        else:
            w.line(f"{variable} = {_contracted(text, p, m, names[f.label], plan)}")
        text = variable
    return text


def _write_update(w: Writer, text: str, p: Param, m: Move, name: str, variable: str) -> None:
    """Add p t q^T times an axis to it, or subtract q s^T p^T: through the r columns, never through n x n."""
    letters, r, s = LETTERS[: len(p.axes)], LETTERS[len(p.axes)], LETTERS[len(p.axes) + 1]
    axis, copies = letters[m.axis], "".join(letters[k] for k in m.along)
    inside, outside = letters.replace(axis, r), letters.replace(axis, s)
    first, last = ("p", "q") if m.contra else ("q", "p")
    w.line(f'inner = torch.einsum("b{copies}{axis}{r},b{letters}c->b{inside}c", {first}_{name}, {text})')
    if m.contra:
        w.line(f'inner = torch.einsum("bc{copies}{r}{s},b{inside}c->b{outside}c", s_{name}, inner)')
        inside, r = outside, s
    else:
        w.line(f"inner = inner * t_{name}{place(m.along, len(p.axes))}")
    sign = "-" if m.contra else "+"
    product = f'torch.einsum("b{copies}{axis}{r},b{inside}c->b{letters}c", {last}_{name}, inner)'
    w.line(f"{variable} = {text} {sign} {product}")


def _contracted(text: str, p: Param, m: Move, name: str, plan: AlphaPlan) -> str:
    letters = LETTERS[: len(p.axes)]
    new = LETTERS[len(p.axes)]
    old = letters[m.axis]
    copies = "".join(letters[k] for k in m.along)
    channel = "" if plan.family == "shared" else "c"
    matrix = f"dual_{name}" if m.contra else f"matrix_{name}"
    equation = f"b{channel}{copies}{new}{old},b{letters}c->b{letters.replace(old, new)}c"
    return f'torch.einsum("{equation}", {matrix}, {text})'


def _multiplied(p: Param, plan: AlphaPlan, names: dict[str, str]) -> str:
    """The numbers that multiply and divide a parameter's features."""
    text = ""
    for f, m in _moves_of(p, plan, matrix=False):
        factor = f"scale_{names[f.label]}" + place(m.along, len(p.axes))
        power = "" if abs(m.charge) == 1 else f"**{abs(m.charge)}"
        text += f" {'*' if m.charge > 0 else '/'} {factor}{power}"
    return text


# The methods that every family has


def _write_forward(w: Writer, plan: AlphaPlan) -> None:
    w.line()
    w.line("def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:")
    with w.indent():
        w.line('"""Features [B, *shape, channels], moved by the group element that they give."""')
        w.line(f"return move(x, self.{'parts' if plan.low_rank else 'elements'}(x))")


def _write_distances(w: Writer, plan: AlphaPlan) -> None:
    w.line()
    w.line("def distances(self, x: dict[str, Tensor]) -> dict[str, tuple[float, float, float]]:")
    with w.indent():
        w.line('"""How far the element is from the identity: least, mean and largest |g - 1| by factor."""')
        w.line("g = self.elements(x)")
        items = []
        for f in plan.factors:
            gap = f'(g["{f.label}"] - 1).abs()'
            if f.is_matrix:
                gap = f'torch.linalg.matrix_norm(g["{f.label}"] - self.eye_{f.size})'
            items.append(f'"{f.label}": _spread({gap})')
        w.call("return {", items, "}")
