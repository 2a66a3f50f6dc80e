"""The certificate: what a proof says, with enough beside it to be checked again by another program.

Takes a spec and obligations, gives JSON. It lists the spec as elaborated, every diagram of the basis, and
dimensions at small sizes; hashes tie it to the bytes of the spec's file, of the files that it uses, and of
the emitted file. Its last entry is the hash of all bytes above it, so that no byte of it can change, white
space included. `qecompile.recheck` reads it and trusts none of it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path, PurePath

from qecompile.basis import Basis
from qecompile.invariants import Diagram
from qecompile.spec import Spec
from qecompile.verify.dimensions import nullity
from qecompile.verify.obligations import Obligation
from qecompile.verify.pairs import Cases
from qecompile.verify.small import resized
from qecompile.version import __version__

FORMAT = "qecompile-certificate-2"
TEXT = "<text>"
Json = dict[str, object]


def make_certificate(
    spec: Spec,
    used: Mapping[str, str],
    emitted: Json | None,
    ok: bool,
    obligations: Iterable[Obligation],
) -> Json:
    """The certificate of a proof, but for its last line, which `sealed` adds.

    Args:
        spec: what the proof is about.
        used: hashes of the files that the spec reaches by `use`, by path from the directory of its own.
        emitted: file, sha256 and metanet of the emitted file, if there is one.
        ok: the verdict.
        obligations: what it consists of.
    """
    basis, written = _basis(spec)
    return {
        "format": FORMAT,
        "qecompile": __version__,
        "ok": ok,
        "spec": {
            "name": spec.name,
            "file": PurePath(spec.path).name,
            "sha256": _hash_of_file(spec),
            "used": dict(used),
            "arguments": {n: list(v) if isinstance(v, tuple) else v for n, v in spec.arguments},
        },
        "emitted": emitted,
        "elaborated": _elaborated(spec),
        "basis": basis,
        "small": _small(spec, written),
        "obligations": [o.to_json() for o in obligations],
    }


def sealed(certificate: Json) -> str:
    """The text of a certificate; the last entry is the hash of all bytes in front of the comma before it."""
    text = "".join(_laid_out(certificate))
    return f'{text},"sha256": "{hashlib.sha256(text.encode()).hexdigest()}"\n}}\n'


def write_certificate(certificate: Json, path: str | os.PathLike[str]) -> None:
    """Write a certificate; readers see the old file or the whole new one.

    Raises:
        OSError: the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(sealed(certificate), encoding="utf-8", newline="\n")
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _laid_out(certificate: Json) -> Iterator[str]:
    """One line for every entry of a list, so that certificates can be read and compared; left open."""
    yield "{\n"
    for k, (key, value) in enumerate(certificate.items()):
        yield f"{',' if k else ''}{json.dumps(key)}: "
        yield from _lines(value, depth=0)
        yield "\n"


def _lines(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, dict) and depth < 1 and any(isinstance(v, (dict, list)) for v in value.values()):
        yield "{\n"
        for k, (key, part) in enumerate(value.items()):
            yield f"{',' if k else ''}{json.dumps(key)}: "
            yield from _lines(part, depth + 1)
            yield "\n"
        yield "}"
    elif isinstance(value, list) and value and isinstance(value[0], (dict, list)):
        yield "[\n" + ",\n".join(map(json.dumps, value)) + "\n]"
    else:
        yield json.dumps(value)


def _hash_of_file(spec: Spec) -> str:
    """The hash of the bytes of the spec's file; of its text, if it came from none."""
    data = spec.text.encode() if spec.path == TEXT else Path(spec.path).read_bytes()
    return hashlib.sha256(data).hexdigest()


def _elaborated(spec: Spec) -> Json:
    spaces = [
        {
            "name": s.name,
            "size": s.size,
            "permuted": s.permuted,
            "vector": s.vector,
            "characters": [[c.name, c.word] for c in s.characters],
            "parent": s.parent,
        }
        for s in spec.spaces
    ]
    params = [
        {
            "name": p.name,
            "axes": [
                {"space": a.space, "dual": a.dual, "charges": list(a.charges), "parent": a.parent}
                for a in p.axes
            ],
        }
        for p in spec.parameters
    ]
    return {"spaces": spaces, "params": params}


def _basis(spec: Spec) -> tuple[Json, list[tuple[str | None, str]]]:
    """Every list of diagrams, and the pairs (source, target) at which one is written out."""
    basis = Basis(spec)
    hom, affine = _Lists(), _Lists()
    for p in basis.pairs():
        hom.enter({"source": p.source, "target": p.target, "dim": p.dim}, basis.diagrams(p.source, p.target))
    for name in spec.params:
        if dim := basis.invariants(name):
            affine.enter({"target": name, "dim": dim}, basis.invariant_diagrams(name))
    return {"hom": hom.entries, "affine": affine.entries}, hom.written + affine.written


class _Lists:
    """Lists of diagrams, each written out once and then named by the number of its first entry."""

    def __init__(self) -> None:
        self.entries: list[Json] = []
        self.written: list[tuple[str | None, str]] = []
        self._first: dict[tuple[Diagram, ...], int] = {}

    def enter(self, pair: Json, diagrams: tuple[Diagram, ...]) -> None:
        """Add an entry."""
        first = self._first.setdefault(diagrams, len(self.entries))
        shown: object = {"same": first}
        if first == len(self.entries):
            shown = [_diagram(d) for d in diagrams]
            source, target = pair.get("source"), pair["target"]
            self.written.append((str(source) if source is not None else None, str(target)))
        self.entries.append({**pair, "diagrams": shown})


def _diagram(d: Diagram) -> Json:
    supports = [{"blocks": list(s.blocks), "patterns": [list(p) for p in s.patterns]} for s in d.supports]
    return {
        "blocks": [list(b.legs) for b in d.blocks],
        "pairs": [list(p) for p in d.pairs],
        "epsilons": [list(e) for e in d.epsilons],
        "support": supports or None,
    }


def _small(spec: Spec, listed: Iterable[tuple[str | None, str]]) -> Json:
    """Dimensions of the listed pairs where no size is above 2: as the basis counts, and as nullities give."""
    sizes = {s.name: min(s.size, 2) for s in spec.spaces}
    small = resized(spec, sizes)
    basis = Basis(small)
    cases = Cases(small)
    rows = []
    for source, target in listed:
        dim = basis.invariants(target) if source is None else basis.dim(source, target)
        solved = prod(nullity(case, case.sizes) for case in cases.pair(target, source).values())
        rows.append([source, target, dim, solved])
    return {"sizes": sizes, "dims": rows}
