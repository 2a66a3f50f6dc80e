"""Certificates for tests of the checker: by the compiler's own writer, but with nothing proved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import qecompile as qe
from qecompile.basis import total_affine, total_dim
from qecompile.provenance import split_kernels
from qecompile.recheck import command
from qecompile.spec import Spec
from qecompile.verify.certificate import make_certificate, sealed
from qecompile.verify.obligations import TABLE, Obligation, holds

Json = dict[str, Any]

MLP = """
spec mlp(hidden: int = 3) {
  space x = 2      : fixed
  space h = hidden : permute * scale
  space y = 2      : fixed
  param W : h <- x
  param b : h
  param V : y <- h
  param c : y
  metanet reader { channels 1, 4, 4  readout invariant -> 3 }
}
"""
SQUARE = """
spec square {
  space h = 3 : permute
  space v = 2 : linear
  param A : [h, h]
  param M : v <- v
  param b : h
  metanet field { channels 1, 3  readout equivariant }
}
"""


class Case:
    """A spec file, its emitted file and a certificate, in a folder of their own."""

    def __init__(self, folder: Path, text: str, emit: bool = True) -> None:
        self.folder, self.path = folder, folder / "it.sym"
        self.path.write_text(text, encoding="utf-8")
        self.spec = qe.load(self.path)
        self.emitted = folder / "it.py" if emit else None
        if self.emitted:
            qe.emit(self.spec, self.emitted, kernels=False)
        self.certificate = certificate_of(self.spec, self.emitted)

    def arguments(self, certificate: Any) -> list[str]:
        file = self.folder / "it.json"
        file.write_text(certificate if isinstance(certificate, str) else sealed(certificate))
        return [str(file), str(self.path), *([str(self.emitted)] if self.emitted else [])]

    def status(self, certificate: Any = None) -> int:
        """The exit status of the checker, for this certificate or a changed one."""
        return command.main(self.arguments(self.certificate if certificate is None else certificate))


def remade(case: Case, replacements: Sequence[tuple[str, str]]) -> int:
    """The status for a changed emitted file, under a certificate with all hashes right."""
    assert case.emitted is not None
    source = case.emitted.read_text()
    for old, new in replacements:
        assert old in source, f"the emitted file has no {old!r} any more"
        source = source.replace(old, new, 1)
    case.emitted.write_text(source)
    return case.status(certificate_of(case.spec, case.emitted))


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def certificate_of(spec: Spec, emitted: Path | None = None, used: Mapping[str, str] | None = None) -> Json:
    """A certificate for a spec that was loaded from a file, and perhaps for its emitted file."""
    name = spec.metanets[0].name if spec.metanets else None
    entry = {"file": emitted.name, "sha256": hash_of(emitted), "metanet": name} if emitted else None
    made = make_certificate(spec, used or {}, entry, True, claimed(spec, emitted))
    return json.loads(json.dumps(made))


def claimed(spec: Spec, emitted: Path | None) -> Iterator[Obligation]:
    """All obligations of a complete layer, with figures that fit the basis and nothing behind them."""
    basis = qe.derive(spec)
    pairs, maps, invariants = list(basis.pairs()), total_dim(basis), total_affine(basis)
    known = {
        "pairs": len(pairs),
        "diagrams": sum(pair.diagrams for pair in pairs),
        "affine": sum(len(basis.invariant_diagrams(q)) for q in spec.params),
        "zero": len(spec.params) ** 2 - len(pairs),
        "total": maps,
        "maps": maps,
        "linear": maps,
        "invariants": invariants,
        "bias": invariants,
        "weights": maps + invariants,
        "prime": 2**31 - 1,
    }
    names = ["invariance", "independence", "dimension", "translation", *(["syntax"] if emitted else [])]
    kernels = split_kernels(emitted.read_text())[1] if emitted else ""
    known["lines"] = len(kernels.splitlines())
    for name in (*names, "weights", "family", "types", *(["kernels"] if kernels else [])):
        wanted = TABLE[name].sentence.replace("}", "{").split("{")[1::2]
        yield holds(name, **{figure: known.get(figure, 7) for figure in wanted})


def text_of(spec: Spec) -> str:
    """A spec as text: what the language needs to say of its spaces and parameters."""
    lines = [f"spec {spec.name} {{"]

    def write(parent: str | None, indent: str) -> None:
        for s in spec.children[parent]:
            lines.append(f"{indent}space {s.name} = {s.size} : {s.group} {{")
            write(s.name, indent + "  ")
            lines.append(f"{indent}}}" if spec.children[s.name] else lines.pop().removesuffix(" {"))

    write(None, "  ")
    for p in spec.parameters:
        axes = []
        for a in p.axes:
            s = spec.space[a.space]
            named = ", ".join(f"{c.name}: {n}" for c, n in zip(s.characters, a.charges, strict=True))
            star = "*" if a.dual and s.vector == "linear" else ""
            axes.append(f"{a.space}{star}" + (f"^{{{named}}}" if named else ""))
        lines.append(f"  param {p.name} : [{', '.join(axes)}]")
    return "\n".join([*lines, "}", ""])
