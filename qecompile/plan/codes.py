"""How fixed spaces are mixed: completely, or through a few codes, chosen by size if the spec is silent.

Complete mixing of m fixed entries of a parameter costs m^2 weights for every pair of channels and in every
intermediate type: 784 inputs at 16 channels, 157 million. A coded space keeps "index i to index i, the
same matrix for all i" and adds position-dependent mixing of its codes: a subfamily of the complete layer,
equivariant like it, of 1 + rank^2 terms instead of m^2.

Without a `mix`, layers of up to `MOST_WEIGHTS` weights for a pair of channels are complete. Beyond that
the largest spaces on which nothing acts are coded first, with `RANKS[0]` codes and then with fewer, until the
layer is small enough, or no more than twice what the smallest codes would leave.
"""

from __future__ import annotations

from qecompile.errors import Diagnostic, SymError
from qecompile.plan.build import estimate_weights
from qecompile.plan.nodes import Code
from qecompile.signature import Node, Signatures, preorder
from qecompile.spec import MetaNet, Spec

MOST_WEIGHTS = 1 << 15
RANKS = (8, 4, 2, 1)


def choose_codes(spec: Spec, net: MetaNet | None) -> tuple[Code, ...]:
    """The codes of a network: what `mix` says, else by size.

    As many codes as values, or more, say no less than complete mixing, which is then used instead.

    Raises:
        SymError: a `mix` names a space on which something acts.
    """
    free = _free_spaces(spec)
    said = {m.space: m for m in net.mix} if net else {}
    codes: dict[str, Code] = {}
    for m in said.values():
        _require_free(spec, m.space, free)
        size, rank = spec.space[m.space].size, m.rank or 0
        if m.mode != "full" and rank < size:
            codes[m.space] = Code(m.space, size, m.mode, rank)
    silent = sorted((name for name in free if name not in said), key=lambda name: -spec.space[name].size)
    codes |= _coded_by_size(spec, silent, codes)
    used = {axis.space for p in spec.parameters for axis in p.axes}
    return tuple(codes[s.name] for s in spec.spaces if s.name in codes and s.name in used)


def _coded_by_size(spec: Spec, silent: list[str], said: dict[str, Code]) -> dict[str, Code]:
    """Codes for some of the silent spaces, as few and as fine as the limit allows."""
    if not silent or _weights(spec, said) <= MOST_WEIGHTS:
        return {}
    smallest = {name: code for name in silent if (code := _encoded(spec, name, RANKS[-1]))}
    limit = max(MOST_WEIGHTS, 2 * _weights(spec, said | smallest))
    chosen: dict[str, Code] = {}
    for rank in RANKS:
        for name in silent:
            code = _encoded(spec, name, rank)
            if code is not None:
                chosen[name] = code
                if _weights(spec, said | chosen) <= limit:
                    return chosen
    return chosen


def _encoded(spec: Spec, name: str, rank: int) -> Code | None:
    size = spec.space[name].size
    return Code(name, size, "encode", rank) if rank < size else None


def _weights(spec: Spec, codes: dict[str, Code]) -> int:
    return estimate_weights(Signatures(spec, {name: code.rank for name, code in codes.items()}))


def _free_spaces(spec: Spec) -> list[str]:
    """The spaces on which nothing acts, or only one number for the whole axis."""
    signatures = Signatures(spec)
    return [
        signatures.names[root][node.number]
        for root, top in signatures.roots.items()
        for node in preorder(top)
        if node.is_free or _is_dilated(node)
    ]


def _is_dilated(node: Node) -> bool:
    return node.is_vector and node.vector is None


def _require_free(spec: Spec, space: str, free: list[str]) -> None:
    if space not in free:
        problem = f"`mix {space}` needs a plain fixed space, and `{space}` is `{spec.space[space].group}`"
        raise SymError(
            [Diagnostic("QE703", problem, help="only axes on which nothing acts are mixed freely")]
        )
