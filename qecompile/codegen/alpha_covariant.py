"""The covariant family of `Alpha`: numbers from gauge-fixed features, matrices from products of them."""

from __future__ import annotations

from qecompile.codegen.alpha_raw import element_shape, write_cayley, write_identities
from qecompile.codegen.invariant import write_read
from qecompile.codegen.linear import write_constants
from qecompile.codegen.writer import LETTERS, Variables, Writer
from qecompile.plan.alpha import AlphaPlan, CovariantMap, Endomorphism
from qecompile.plan.invariants import InvariantPlan

COMPRESS = '''
def _compress(x: Tensor) -> Tensor:
    """sign(x) log(1 + |x|): numbers of any size, made comparable; what overflowed becomes a finite number."""
    return (x.sign() * x.abs().log1p()).nan_to_num(0.0, 100.0, -100.0)
'''

BOUNDED = '''
def _bounded(x: Tensor) -> Tensor:
    """Matrices over the root of 1 and their square sum; 0 where that overflows."""
    size = x.square().sum((-2, -1), keepdim=True)
    return torch.where(size < 1e30, x / (1 + size).sqrt(), 0.0)
'''


def write_covariant_init(
    w: Writer, plan: AlphaPlan, inv: InvariantPlan, variables: Variables, names: dict[str, str]
) -> None:
    """The weights of every factor's map, and what the reductions read."""
    with w.init("channels: int"):
        w.line("self.channels = channels")
        w.line('options = {"device": device, "dtype": dtype}')
        for m in plan.maps:
            _write_weights(w, m, plan.hidden, names[m.factor.label])
        if plan.reads:
            write_constants(w, inv.plan, variables, ("encode",))
        write_identities(w, plan)
        if any(m.factor.is_matrix and m.matrix is None for m in plan.maps):
            w.line('self.register_buffer("turn", torch.tensor([[0.0, -1.0], [1.0, 0.0]], **options))')
        w.line("self.reset_parameters()")
    w.line()
    w.line("def reset_parameters(self) -> None:")
    with w.indent():
        w.line('"""Start near the identity: gamma is small, and not zero."""')
        w.line("for name, parameter in self.named_parameters():")
        w.line('    small = name.startswith(("gamma", "slope"))')
        w.line("    nn.init.normal_(parameter, std=0.1 if small else parameter.shape[0] ** -0.5)")


def _write_weights(w: Writer, m: CovariantMap, hidden: int, name: str) -> None:
    if m.features is None:
        sizes = "".join(f"{size}, " for size in m.constants)
        w.line(f"self.gamma_{name} = nn.Parameter(torch.empty({sizes}channels, **options))")
    else:
        height = m.features.height
        w.line(f"self.weight_{name} = nn.Parameter(torch.empty({height}, {hidden}, **options))")
        w.line(f"self.shift_{name} = nn.Parameter(torch.empty({hidden}, channels, **options))")
        w.line(f"self.gamma_{name} = nn.Parameter(torch.empty({hidden}, channels, **options))")
    if m.matrix is not None:
        for side, t in (("left", m.matrix.left), ("right", m.matrix.right)):
            size = "channels" if t.height == 1 else f"{t.height} * channels"
            w.line(f"self.{side}_{name} = nn.Parameter(torch.empty({size}, **options))")
        w.line(f"self.slope_{name} = nn.Parameter(torch.empty(channels, **options))")


def write_covariant_elements(
    w: Writer, plan: AlphaPlan, inv: InvariantPlan, variables: Variables, names: dict[str, str]
) -> None:
    """The method that computes the group elements."""
    w.line()
    w.line("def elements(self, x: dict[str, Tensor]) -> dict[str, Tensor]:")
    with w.indent():
        w.line('"""The group elements of features [B, *shape, channels], by factor."""')
        w.line("x = _check(x, self.channels, next(self.parameters()))")
        if plan.reads:
            write_read(w, inv, variables, plan.reads)
        for m in plan.maps:
            name = names[m.factor.label]
            w.line(f"# {m.factor.label}, {element_shape(m.factor, plan, variables)}")
            if m.matrix is not None:
                _write_matrix(w, m, m.matrix, name)
            _write_gamma(w, m, plan, variables, name)
            _write_element(w, m, plan, name)
        items = []
        for m in plan.maps:
            kind = "matrix" if m.factor.is_matrix else "scale"
            items.append(f'"{m.factor.label}": {kind}_{names[m.factor.label]}')
        w.call("return {", items, "}")


def _write_gamma(w: Writer, m: CovariantMap, plan: AlphaPlan, variables: Variables, name: str) -> None:
    """One number for every copy and channel: [B, *indices, C]."""
    f = m.factor
    if m.features is None:
        first = next(iter(variables.spec.params))
        sizes = "".join(f"{size}, " for size in f.copies)
        w.line(f'gamma = self.gamma_{name}.expand(x["{first}"].shape[0], {sizes}-1)')
    else:
        t = m.features
        letters = LETTERS[: len(t.axes)]
        out = "".join(letters[k] for k in m.order)
        w.line(f"h = _compress(x_{t.name}).unflatten(-1, ({t.height}, self.channels))")
        w.line(f'h = torch.einsum("b{letters}uc,uz->b{letters}zc", h, self.weight_{name})')
        w.line(f"h = F.silu(h + self.shift_{name})")
        w.line(f'gamma = torch.einsum("b{letters}zc,zc->b{out}c", h, self.gamma_{name})')
    if m.matrix is not None:
        w.line(f"gamma = gamma + trace.unsqueeze(-1) * self.slope_{name}")


def _write_element(w: Writer, m: CovariantMap, plan: AlphaPlan, name: str) -> None:
    f, epsilon = m.factor, repr(plan.epsilon)
    if not f.is_matrix:
        w.line(f"scale_{name} = 1 + {epsilon} * torch.sin(gamma)")
        return
    w.line("gamma = gamma.movedim(-1, 1)[..., None, None]")
    if f.word == "linear":
        w.line(f"matrix_{name} = self.eye_{f.size} + {epsilon} * torch.sin(gamma) * matrix.unsqueeze(1)")
        return
    turned = "self.turn" if m.matrix is None else "matrix.unsqueeze(1)"
    w.line(f"skew = {epsilon} * torch.sin(gamma) * {turned}")
    write_cayley(w, f"matrix_{name}", f.size)


def _write_matrix(w: Writer, m: CovariantMap, e: Endomorphism, name: str) -> None:
    """`matrix` [B, *indices, n, n], which the group conjugates, and `trace` [B, *indices], an invariant."""
    w.line(f"p = x_{e.left.name} @ self.left_{name}")
    w.line(f"q = x_{e.right.name} @ self.right_{name}")
    letters = LETTERS[: len(e.left.axes)]
    second = LETTERS[len(letters)]
    strand, parents = letters[e.strand], "".join(letters[k] for k in e.parents)
    right = _facing(e, letters.replace(strand, second))
    outer = f"b{parents}{strand}{second}"
    traced = f"b{parents}{strand}{strand}->b{parents}"
    if m.factor.word == "linear":
        rest = "".join(x for k, x in enumerate(letters) if k != e.strand and k not in e.parents)
        primed = LETTERS[len(letters) + 1 : len(letters) + 1 + len(rest)]
        other = _facing(e, letters.translate(str.maketrans(rest, primed)))
        inner = f'torch.einsum("b{letters},b{other}->b{parents}{rest}{primed}", p, q)'
        places = tuple(range(1 + len(parents), 1 + len(parents) + 2 * len(rest)))
        w.line(f"inner = {inner}  # invariant")
        w.line("size = inner.square()" + (f".sum({places})" if places else ""))
        w.line("share = torch.where(size < 1e30, (1 + size).rsqrt(), 0.0)")
        w.line(f'p = torch.einsum("b{letters},b{parents}->b{letters}", p, share)')
        w.line(f'matrix = torch.einsum("b{letters},b{right}->{outer}", p, q)')
        w.line(f'trace = torch.einsum("{traced}", matrix)')
        return
    for variable, source in (("first", "p"), ("second", "q")):
        facing = letters.replace(strand, second)
        w.line(f'{variable} = _bounded(torch.einsum("b{letters},b{facing}->{outer}", {source}, {source}))')
    w.line("matrix = first @ second - second @ first")
    w.line(f'trace = torch.einsum("{traced}", first)')


def _facing(e: Endomorphism, letters: str) -> str:
    """The letters of the right type's axes, when axis k of the left one has `letters[k]`."""
    found = [""] * len(letters)
    for k, letter in enumerate(letters):
        found[e.match[k]] = letter
    return "".join(found)
