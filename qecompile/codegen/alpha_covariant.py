"""The covariant family of `Alpha`: numbers from gauge-fixed features, matrices from products of them."""

from __future__ import annotations

from qecompile.codegen.alpha_raw import element_shape, write_cayley, write_identities
from qecompile.codegen.invariant import write_read
from qecompile.codegen.linear import write_constants
from qecompile.codegen.writer import LETTERS, Variables, Writer
from qecompile.plan.alpha import AlphaPlan
from qecompile.plan.covariant import COLUMNS, Commutator, CovariantMap, LowRank, Strand
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
        if any(m.factor.is_turn for m in plan.maps):
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
        sizes = [*map(str, m.constants), "channels"]
        w.line(_parameter(f"gamma_{name}", *sizes))
    else:
        w.line(_parameter(f"weight_{name}", str(m.features.height), str(hidden)))
        w.line(_parameter(f"shift_{name}", str(hidden), "channels"))
        w.line(_parameter(f"gamma_{name}", str(hidden), "channels"))
    if m.matrix is None:
        return
    match m.matrix:
        case LowRank(p=p, q=q):
            sides = (("p", p), ("q", q))
        case Commutator(of=of):
            sides = (("p", of), ("q", of))
    columns = [str(COLUMNS)] if isinstance(m.matrix, LowRank) and not m.matrix.p.rest else []
    for side, s in sides:
        height = "channels" if s.type.height == 1 else f"{s.type.height} * channels"
        w.line(_parameter(f"{side}_{name}", height, *columns))
    w.line(_parameter(f"slope_{name}", "channels"))


def _parameter(name: str, *sizes: str) -> str:
    return f"self.{name} = nn.Parameter(torch.empty({', '.join(sizes)}, **options))"


def write_covariant_elements(
    w: Writer, plan: AlphaPlan, inv: InvariantPlan, variables: Variables, names: dict[str, str]
) -> None:
    """The method that computes the group elements; matrices of `linear` in parts, and put together apart."""
    w.line()
    parts = bool(plan.low_rank)
    w.line(f"def {'parts' if parts else 'elements'}(self, x: dict[str, Tensor]) -> dict[str, Tensor]:")
    with w.indent():
        split = "; I + t p q^T in parts" if parts else ""
        w.line(f'"""The group elements of features [B, *shape, channels], by factor{split}."""')
        w.line("x = _check(x, self.channels, next(self.parameters()))")
        if plan.reads:
            write_read(w, inv, variables, plan.reads)
        items: list[str] = []
        for m in plan.maps:
            items += _write_map(w, m, plan, variables, names[m.factor.label])
        w.call("return {", items, "}")
    if parts:
        _write_assembly(w, plan, names)


def _write_map(w: Writer, m: CovariantMap, plan: AlphaPlan, variables: Variables, name: str) -> list[str]:
    """The element of one factor; gives the items of the dict that hold it."""
    label = m.factor.label
    w.line(f"# {label}, {element_shape(m.factor, plan, variables)}")
    match m.matrix:
        case LowRank():
            _write_products(w, m.matrix, name)
        case Commutator(of=of):
            _write_commutator(w, of, name)
        case None:
            pass
    _write_gamma(w, m, variables, name)
    sine = f"{plan.epsilon!r} * torch.sin(gamma)"
    if isinstance(m.matrix, LowRank):
        return _write_parts(w, m, sine, name)
    if not m.factor.is_matrix:
        w.line(f"scale_{name} = 1 + {sine}")
        return [f'"{label}": scale_{name}']
    w.line("gamma = gamma.movedim(-1, 1)[..., None, None]")
    w.line(f"skew = {sine} * {'self.turn' if m.matrix is None else 'matrix.unsqueeze(1)'}")
    write_cayley(w, f"matrix_{name}", m.factor.size)
    return [f'"{label}": matrix_{name}']


def _write_gamma(w: Writer, m: CovariantMap, variables: Variables, name: str) -> None:
    """One number for every copy and channel: [B, *indices, C]."""
    if m.features is None:
        first = next(iter(variables.spec.params))
        sizes = "".join(f"{size}, " for size in m.factor.copies)
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


def _write_products(w: Writer, r: LowRank, name: str) -> None:
    """`p` and `q` [B, *indices, n, r], whose product is conjugated, and q^T p, which is invariant."""
    w.line(f"p = {_columns(r.p, f'p_{name}')}")
    w.line(f"q = {_columns(r.q, f'q_{name}')}")
    copies = LETTERS[: len(r.p.parents)]
    product = f'torch.einsum("b{copies}xy,b{copies}xz->b{copies}yz", {{q}}, {{p}})'
    w.line(f"inner = {product.format(q='q', p='p')}  # no group element changes it")
    w.line("size = inner.square().sum((-2, -1), keepdim=True)")
    w.line("root = torch.where(size < 1e30, (1 + size) ** -0.25, 0.0)")
    w.line(f"p_{name}, q_{name} = p * root, q * root")
    w.line(f"inner = {product.format(q=f'q_{name}', p=f'p_{name}')}")
    w.line(f'trace = torch.einsum("b{copies}yy->b{copies}", inner)')


def _columns(s: Strand, weight: str) -> str:
    """A mixture of the channels of a type, its axes in the order copies, vector axis, columns."""
    text = f"x_{s.type.name} @ self.{weight}"
    order = [0, *(k + 1 for k in (*s.parents, s.axis, *s.rest))]
    order += [] if s.rest else [len(order)]
    return text if order == sorted(order) else f"({text}).permute{tuple(order)}"


def _write_parts(w: Writer, m: CovariantMap, sine: str, name: str) -> list[str]:
    """T of I + t p q^T, and what the inverse needs: (I + t p q^T)^-1 = I - p s q^T."""
    label = m.factor.label
    w.line(f"t_{name} = {sine}")
    items = [f'"{label}:{part}": {part}_{name}' for part in "tpq"]
    if any(move.contra for move in m.factor.moves):
        assert isinstance(m.matrix, LowRank)
        w.line(f"t = t_{name}.movedim(-1, 1)[..., None, None]")
        w.line(f"s_{name} = t * _inverse(self.eye_{m.matrix.columns} + t * inner.unsqueeze(1))")
        items.append(f'"{label}:s": s_{name}')
    return items


def _write_assembly(w: Writer, plan: AlphaPlan, names: dict[str, str]) -> None:
    """The method `elements`, with whole matrices; nothing but readers need them."""
    w.line()
    w.line("def elements(self, x: dict[str, Tensor]) -> dict[str, Tensor]:")
    with w.indent():
        w.line('"""The group elements of features [B, *shape, channels], by factor."""')
        w.line("g = self.parts(x)")
        items = []
        for f in plan.factors:
            if f.label not in plan.low_rank:
                items.append(f'"{f.label}": g["{f.label}"]')
                continue
            part = {name: f'g["{f.label}:{name}"]' for name in "tpq"}
            w.line(f"t = {part['t']}.movedim(-1, 1)[..., None, None]")
            w.line(f"matrix_{names[f.label]} = (")
            w.line(f"    self.eye_{f.size} + t * ({part['p']} @ {part['q']}.mT).unsqueeze(1)")
            w.line(")")
            items.append(f'"{f.label}": matrix_{names[f.label]}')
        w.call("return {", items, "}")


def _write_commutator(w: Writer, s: Strand, name: str) -> None:
    """`matrix` [B, *indices, n, n], skew and conjugated by the group, and `trace`, an invariant."""
    letters = LETTERS[: len(s.type.axes)]
    second = LETTERS[len(letters)]
    parents = "".join(letters[k] for k in s.parents)
    facing = letters.replace(letters[s.axis], second)
    w.line(f"p = x_{s.type.name} @ self.p_{name}")
    w.line(f"q = x_{s.type.name} @ self.q_{name}")
    for variable, source in (("first", "p"), ("second", "q")):
        equation = f"b{letters},b{facing}->b{parents}{letters[s.axis]}{second}"
        w.line(f'{variable} = _bounded(torch.einsum("{equation}", {source}, {source}))')
    w.line("matrix = first @ second - second @ first")
    w.line(f'trace = torch.einsum("b{parents}xx->b{parents}", first)')
