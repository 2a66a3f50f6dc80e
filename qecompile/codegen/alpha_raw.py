"""The raw families of `Alpha`: statistics, a small network, and cosines that spread what it says."""

from __future__ import annotations

from qecompile.codegen.writer import LETTERS, Variables, Writer
from qecompile.plan.alpha import AlphaPlan
from qecompile.plan.factors import Factor

SIGNED_LOG = '''
def _signed_log(x: Tensor) -> Tensor:
    """sign(x) log(1 + |x|): numbers of any size, made comparable."""
    return x.sign() * x.abs().log1p()
'''

QUANTILE = '''
def _quantile(ordered: Tensor, count: int, q: float) -> Tensor:
    """The q-quantile of `count` numbers, sorted along dimension 1; between two of them, in proportion."""
    place = q * (count - 1)
    low = int(place)
    high = min(low + 1, count - 1)
    below, above = ordered[:, low : low + 1], ordered[:, high : high + 1]
    return below + (place - low) * (above - below)
'''


def write_statistics(w: Writer, plan: AlphaPlan) -> None:
    """The functions that describe all tensors in a few numbers each."""
    asked = plan.statistics
    quantiles = [s for s in asked if s.startswith("q")]
    w.block(SIGNED_LOG)
    if quantiles:
        w.block(QUANTILE)
    w.line()
    w.line()
    w.line("def _describe(x: Tensor, count: int) -> Tensor:")
    with w.indent():
        w.line(f'"""{", ".join(asked)} of x [B, count, C] over its entries: [B, C, {len(asked)}].')
        w.line()
        w.line("A statistic t is told as sign(t) log(1 + |t|); the largest entry is divided out before, so")
        w.line("that no square overflows or vanishes.")
        w.line('"""')
        w.line("size = x.detach().abs().amax(1, keepdim=True)")
        w.line("size = torch.where(size > 0, size, 1.0)")
        w.line("unit = x / size")
        if {"mean", "var", "std"} & set(asked):
            w.line("mean = unit.mean(1, keepdim=True)")
        if {"var", "std"} & set(asked):
            w.line("variance = (unit - mean).square().mean(1, keepdim=True).clamp(min=1e-30)")
        if quantiles:
            w.line("ordered = unit.sort(1).values")
        w.line("found = (")
        with w.indent():
            w.lines(f"{_statistic(s)}," for s in asked)
        w.line(")")
        w.line("return torch.cat(found, dim=1).transpose(1, 2)")
    w.line()
    w.line()
    shared = plan.family == "shared"
    w.line("def statistics(x: dict[str, Tensor]) -> Tensor:")
    with w.indent():
        of = "the mean channel" if shared else "each channel"
        shape = f"[B, {plan.inputs}]" if shared else f"[B, C, {plan.inputs}]"
        w.line(f'"""Statistics of every tensor, of {of}: {shape}."""')
        w.line("found = []")
        w.line("for name, shape in SHAPES.items():")
        with w.indent():
            mean = ".mean(-1, keepdim=True)" if shared else ""
            w.line(f"entries = x[name]{mean}.unsqueeze(1).flatten(1, -2)")
            w.line("found.append(_describe(entries, math.prod(shape)))")
        w.line("return torch.cat(found, dim=-1)" + (".squeeze(1)" if shared else ""))


def _statistic(name: str) -> str:
    match name:
        case "mean":
            return "_signed_log(size * mean)"
        case "var":
            return "F.softplus(variance.log() + 2 * size.log())"
        case "std":
            return "_signed_log(size * variance.sqrt())"
        case "min":
            return "_signed_log(size * unit.amin(1, keepdim=True))"
        case "max":
            return "_signed_log(size * unit.amax(1, keepdim=True))"
        case _:
            return f"_signed_log(size * _quantile(ordered, count, {int(name[1:]) / 100}))"


def write_raw_init(w: Writer, plan: AlphaPlan, names: dict[str, str]) -> None:
    """The layers, the cosines and the identity matrices."""
    with w.init("channels: int"):
        w.line("self.channels = channels")
        w.line('options = {"device": device, "dtype": dtype}')
        w.line(f"self.hidden = nn.Linear({plan.inputs}, {plan.hidden}, **options)")
        for f in plan.factors:
            name, count = names[f.label], 1
            for rank in f.ranks:
                count *= rank
            w.line(f"self.gamma_{name} = nn.Linear({plan.hidden}, {count}, **options)")
        for size, rank in sorted({pair for f in plan.factors for pair in zip(f.shape, f.ranks, strict=True)}):
            w.line(f'self.register_buffer("{_code(size, rank)}", _cosines({size}, {rank}, **options))')
        write_identities(w, plan)
        w.line("self.reset_parameters()")
    w.line()
    w.line("def reset_parameters(self) -> None:")
    with w.indent():
        w.line('"""Start near the identity: gamma is small, and not zero."""')
        w.line("self.hidden.reset_parameters()")
        layers = [f"self.gamma_{names[f.label]}" for f in plan.factors]
        w.tuple("for gamma in (", layers, "):")
        with w.indent():
            w.line("nn.init.normal_(gamma.weight, std=0.1 * gamma.in_features**-0.5)")
            w.line("nn.init.normal_(gamma.bias, std=0.1)")


def write_identities(w: Writer, plan: AlphaPlan) -> None:
    """One identity matrix for every size of matrix."""
    for size in plan.identities:
        w.line(f'self.register_buffer("eye_{size}", torch.eye({size}, **options))')


def _code(size: int, rank: int) -> str:
    return f"code_{size}_{rank}"


def write_raw_elements(w: Writer, plan: AlphaPlan, variables: Variables, names: dict[str, str]) -> None:
    """The method that computes the group element."""
    w.line()
    w.line("def elements(self, x: dict[str, Tensor]) -> dict[str, Tensor]:")
    with w.indent():
        w.line('"""The group element of features [B, *shape, channels], by factor."""')
        w.line("x = _check(x, self.channels, self.hidden.weight)")
        channel = "" if plan.family == "shared" else "C, "
        w.line(f"h = F.silu(self.hidden(statistics(x)))  # [B, {channel}{plan.hidden}]")
        elements = []
        for f in plan.factors:
            w.line(f"# {f.label}, {element_shape(f, plan, variables)}")
            elements.append((f, _write_element(w, f, plan, names[f.label])))
        w.call("return {", [f'"{f.label}": {variable}' for f, variable in elements], "}")


def _write_element(w: Writer, f: Factor, plan: AlphaPlan, name: str) -> str:
    """One element from its coefficients; gives the variable that holds it."""
    _write_spread(w, f, plan, name)
    epsilon = repr(plan.epsilon)
    if not f.is_matrix:
        w.line(f"scale_{name} = 1 + {epsilon} * torch.sin(gamma)")
        return f"scale_{name}"
    if f.word == "linear":
        w.line(f"matrix_{name} = self.eye_{f.size} + {epsilon} * torch.sin(gamma)")
    else:
        w.line("gamma = torch.sin(gamma)")
        w.line(f"skew = {epsilon} * (gamma - gamma.mT)")
        write_cayley(w, f"matrix_{name}", f.size)
    return f"matrix_{name}"


def element_shape(f: Factor, plan: AlphaPlan, variables: Variables) -> str:
    """The comment on the axes of an element."""
    axes = [variables.short[name] for name in f.lineage]
    channels = [] if plan.family == "shared" and f.is_matrix else ["1" if plan.family == "shared" else "C"]
    short = variables.short[f.space]
    shape = ["B", *channels, *axes, short, short] if f.is_matrix else ["B", *axes, *channels]
    return f"[{', '.join(shape)}]"


def write_cayley(w: Writer, variable: str, size: int) -> None:
    """The Cayley transform of `skew`."""
    w.line(f"{variable} = _cayley(skew, self.eye_{size})")


def _write_spread(w: Writer, f: Factor, plan: AlphaPlan, name: str) -> None:
    """`gamma`, coefficients times cosines: [B, *indices, C or 1] for numbers, with n, n last for matrices."""
    shared = plan.family == "shared"
    if not f.ranks:
        w.line(f"gamma = self.gamma_{name}(h)" + ("" if shared else ".squeeze(-1)"))
        return
    call = f"self.gamma_{name}(h)" + (f".unflatten(-1, {f.ranks})" if len(f.ranks) > 1 else "")
    count = len(f.shape)
    out, inner = LETTERS[:count], LETTERS[count : 2 * count]
    codes = [f"self.{_code(size, rank)}" for size, rank in zip(f.shape, f.ranks, strict=True)]
    terms = [f"b{'' if shared else 'c'}{inner}", *(o + i for o, i in zip(out, inner, strict=True))]
    channel = "" if shared else "c"
    result = f"b{channel}{out}" if f.is_matrix else f"b{out}{channel}"
    equation = f'"{",".join(terms)}->{result}"'
    w.call("gamma = torch.einsum(", [equation, call, *codes], ")")
    if shared and not f.is_matrix:
        w.line("gamma = gamma.unsqueeze(-1)")
