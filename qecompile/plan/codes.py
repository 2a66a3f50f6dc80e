"""How fixed spaces are mixed: completely, or through a few codes, chosen by size if the spec is silent.

Complete mixing of m fixed entries (the product of a parameter's fixed axes) costs m^2 weights for every
pair of channels and for every intermediate type. Up to `MOST_FULL` entries that is the default; beyond it
the largest fixed spaces are coded with `DEFAULT_RANK` cosines until the rest stays below the limit.
A coded space keeps "index i to index i, the same matrix for all i" and adds position-dependent mixing of
its codes: a subfamily of the complete layer, equivariant like it, of 1 + rank^2 terms instead of m^2.
"""

from __future__ import annotations

from math import prod

from qecompile.errors import Diagnostic, SymError
from qecompile.plan.nodes import Code
from qecompile.spec import MetaNet, Param, Spec

MOST_FULL = 64
DEFAULT_RANK = 8


def is_free(spec: Spec, name: str) -> bool:
    """Whether a space is plain `fixed`: no characters, nothing nested."""
    s = spec.space[name]
    return not (s.permuted or s.is_vector or s.characters or spec.children[name])


def choose_codes(spec: Spec, net: MetaNet | None) -> tuple[Code, ...]:
    """The codes of a network: what `mix` says, else by size.

    As many codes as values, or more, say no less than complete mixing, which is then used instead.

    Raises:
        SymError: a `mix` names a space on which something acts.
    """
    said = {m.space: m for m in net.mix} if net else {}
    codes = {}
    for m in said.values():
        _require_free(spec, m.space)
        size, rank = spec.space[m.space].size, m.rank or 0
        if m.mode != "full" and rank < size:
            codes[m.space] = Code(m.space, size, m.mode, rank)
    open_spaces = [s for s in spec.spaces if is_free(spec, s.name) and s.name not in said]
    for s in sorted(open_spaces, key=lambda s: -s.size):
        if s.size > DEFAULT_RANK and any(
            s.name in {a.space for a in p.axes} and _entries(spec, p, codes) > MOST_FULL
            for p in spec.parameters
        ):
            codes[s.name] = Code(s.name, s.size, "encode", DEFAULT_RANK)
    return tuple(codes[s.name] for s in spec.spaces if s.name in codes)


def _entries(spec: Spec, p: Param, codes: dict[str, Code]) -> int:
    """The number of fixed entries of a parameter that are mixed completely."""
    axes = [spec.space[a.space] for a in p.axes]
    return prod(s.size for s in axes if is_free(spec, s.name) and s.name not in codes)


def _require_free(spec: Spec, space: str) -> None:
    if not is_free(spec, space):
        problem = f"`mix {space}` needs a plain fixed space, and `{space}` is `{spec.space[space].group}`"
        raise SymError(
            [Diagnostic("QE703", problem, help="only axes on which nothing acts are mixed freely")]
        )
