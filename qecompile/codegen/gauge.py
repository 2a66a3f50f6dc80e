"""The function `fix_gauge` of an emitted file: the steps of `plan/gauge.py`, one norm each."""

from __future__ import annotations

from qecompile.codegen.writer import Variables, Writer
from qecompile.plan.gauge import GaugeStep, Use

NORM = '''
def _norm(charge: int, *sources: tuple[Tensor, tuple[int, ...]]) -> Tensor:
    """What scales as s when every source scales as s ** charge: a root of their mean squares.

    Each source comes with the axes to average over. The largest entry is divided out first, so that no
    square overflows or vanishes; where all entries are 0, so is the norm, with a zero gradient.
    """
    sizes = [x.detach().abs().amax(axes) if axes else x.detach().abs() for x, axes in sources]
    size = torch.stack(sizes).amax(0)
    positive = size > 0
    total = 0.0
    for x, axes in sources:
        unit = torch.where(positive, size, 1.0)
        for axis in axes:
            unit = unit.unsqueeze(axis)
        square = (x / unit).square()
        total = total + (square.mean(axes) if axes else square)
    root = torch.where(positive, total, 1.0) ** (0.5 / charge)
    return torch.where(positive, torch.where(positive, size, 1.0) ** (1 / charge) * root, 0.0)


def _divide(x: Tensor, norm: Tensor) -> Tensor:
    """`x / norm`, and 0 where the norm is 0: what was zero stays zero, whatever its scale."""
    positive = norm > 0
    return torch.where(positive, x / torch.where(positive, norm, 1.0), 0.0)
'''


def write_gauge(w: Writer, steps: tuple[GaugeStep, ...], variables: Variables) -> None:
    """The helpers and the function that makes features free of every scale that a step removes."""
    spec = variables.spec
    w.block(NORM)
    w.line()
    w.line()
    w.line("def fix_gauge(x: dict[str, Tensor]) -> dict[str, Tensor]:")
    with w.indent():
        w.line('"""Features without scales: every tensor divided by norms that scale as it does."""')
        used = {u.param: None for step in steps for u in (*step.sources, *step.uses)}
        for p in (p for p in spec.parameters if p.name in used):
            w.line(f'{variables.of[p.name]} = x["{p.name}"]  # {variables.shape(p)}')
        for number, step in enumerate(steps):
            _write_step(w, step, f"norm{number + 1}", variables)
        values = [variables.of[name] if name in used else f'x["{name}"]' for name in spec.params]
        pairs = [f'"{name}": {value}' for name, value in zip(spec.params, values, strict=True)]
        w.call("return {", pairs, "}")


def _write_step(w: Writer, step: GaugeStep, norm: str, variables: Variables) -> None:
    character = variables.spec.space[step.space].characters[step.character]
    names = ", ".join(u.param for u in step.sources)
    w.line(f"# {character.name} of {step.space}, from {names}")
    sources = [_source(variables, use) for use in step.sources]
    w.call(f"{norm} = _norm(", [str(abs(step.charge)), *sources], ")")
    for use in step.uses:
        variable = variables.of[use.param]
        factor = norm + place(use.along, len(variables.spec.params[use.param].axes))
        power = use.charge if step.charge > 0 else -use.charge
        w.line(f"{variable} = {_without(variable, factor, power)}")


def _source(variables: Variables, use: Use) -> str:
    """A tensor with the axes that its norm averages over; the others stand as the norm has them."""
    count = len(variables.spec.params[use.param].axes)
    over = tuple(k + 1 for k in range(count) if k not in use.along)
    kept = sorted(use.along)
    if kept == list(use.along):
        return f"({variables.of[use.param]}, {over})"
    order = (0, *(k + 1 for k in use.along), *over, -1)
    places = tuple(range(len(kept) + 1, count + 1))
    return f"({variables.of[use.param]}.permute({', '.join(map(str, order))}), {places})"


def _without(variable: str, factor: str, power: int) -> str:
    """A tensor that scales as the power of a norm, made free of the scale."""
    raised = factor if abs(power) == 1 else f"{factor} ** {abs(power)}"
    return f"_divide({variable}, {raised})" if power > 0 else f"{variable} * {raised}"


def place(along: tuple[int, ...], count: int) -> str:
    """Put the axes of a factor where a tensor of `count` axes has them."""
    order = sorted(range(len(along)), key=lambda k: along[k])
    text = ""
    if order != list(range(len(along))):
        text = f".permute({', '.join(map(str, (0, *(k + 1 for k in order), -1)))})"
    slots = [":" if k in along else "None" for k in range(count)]
    while slots and slots[-1] == ":":
        slots.pop()
    return text + (f"[{', '.join([':', *slots])}]" if slots else "")
