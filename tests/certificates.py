"""Certificates for tests of the checker: written from the compiler's basis, without running a proof."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import qecompile as qe
from qecompile.invariants import Diagram
from qecompile.recheck.obligations import BASIS, EMITTED
from qecompile.spec import Spec

Json = dict[str, Any]


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rehashed(certificate: Mapping[str, Any]) -> Json:
    """The certificate with the hash that it should have."""
    rest = {key: value for key, value in certificate.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return {**rest, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def elaborated(spec: Spec) -> Json:
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
    params = [{"name": p.name, "axes": [axis(a, spec) for a in p.axes]} for p in spec.parameters]
    return {"spaces": spaces, "params": params}


def axis(a: Any, spec: Spec) -> Json:
    dual = a.dual and spec.space[a.space].vector == "linear"  # drawn specs mark others too
    return {"space": a.space, "dual": dual, "charges": list(a.charges), "parent": a.parent}


def diagram(d: Diagram) -> Json:
    supports = [{"blocks": list(s.blocks), "patterns": [list(p) for p in s.patterns]} for s in d.supports]
    return {
        "blocks": [list(b.legs) for b in d.blocks],
        "pairs": [list(p) for p in d.pairs],
        "epsilons": [list(e) for e in d.epsilons],
        "support": supports or None,
    }


def basis_of(spec: Spec) -> Json:
    """The listing of the basis; equal lists are written once."""
    basis = qe.derive(spec)
    hom: list[Json] = []
    affine: list[Json] = []
    for entries, pairs in (
        (hom, [(p.source, p.target) for p in basis.pairs()]),
        (affine, [(None, q) for q in spec.params if basis.invariants(q)]),
    ):
        known: dict[Sequence[Diagram], int] = {}
        for k, (p, q) in enumerate(pairs):
            found = basis.diagrams(p, q) if p else basis.invariant_diagrams(q)
            first = known.setdefault(found, k)
            written = [diagram(d) for d in found] if first == k else {"same": first}
            dim = basis.dim(p, q) if p else basis.invariants(q)
            entries.append({**({"source": p} if p else {}), "target": q, "dim": dim, "diagrams": written})
    return {"hom": hom, "affine": affine}


def obligations(basis: Json, spec: Spec, emitted: bool) -> list[Json]:
    """All obligations, met, with figures that fit the basis."""
    diagrams, affine = (
        sum(len(listed(entries, e)) for e in entries) for entries in (basis["hom"], basis["affine"])
    )
    counted = {
        "diagrams": diagrams,
        "affine": affine,
        "pairs": len(basis["hom"]),
        "zero": len(spec.params) ** 2 - len(basis["hom"]),
        "total": sum(e["dim"] for e in basis["hom"]),
        "open": 0,
    }
    found = []
    for name, (method, sentence) in {**BASIS, **(EMITTED if emitted else {})}.items():
        wanted = [n for n in sentence.replace("}", "{").split("{")[1::2]]
        figures = {n: counted.get(n, 7) for n in wanted}
        detail = sentence.format(**figures)
        found.append({"name": name, "ok": True, "method": method, "detail": detail, "figures": figures})
    return found


def listed(entries: Sequence[Json], entry: Json) -> list[Json]:
    """The diagrams of an entry, which may be written at another one."""
    found = entry["diagrams"]
    return found if isinstance(found, list) else entries[found["same"]]["diagrams"]


def small(spec: Spec, listing: Json) -> Json:
    """The dimensions at sizes of at most 2, for every list of diagrams that is written out."""
    spaces = tuple(s.model_copy(update={"size": min(s.size, 2)}) for s in spec.spaces)
    shapes = {s.name: s.size for s in spaces}
    parameters = tuple(
        p.model_copy(update={"shape": tuple(shapes[a.space] for a in p.axes)}) for p in spec.parameters
    )
    basis = qe.derive(Spec(name="small", spaces=spaces, parameters=parameters))
    rows = []
    for entry in (*listing["hom"], *listing["affine"]):
        if isinstance(entry["diagrams"], list):
            source, target = entry.get("source"), entry["target"]
            dim = basis.dim(source, target) if source else basis.invariants(target)
            rows.append([source, target, dim, dim])
    return {"sizes": shapes, "dims": rows}


def certificate_of(spec: Spec, path: Path, emitted: Path | None = None) -> Json:
    """A certificate for a spec that was loaded from a file, and perhaps for its emitted file."""
    basis = basis_of(spec)
    arguments = {name: list(v) if isinstance(v, tuple) else v for name, v in spec.arguments}
    metanet = spec.metanets[0].name if spec.metanets else None
    head = {"name": spec.name, "file": path.name, "sha256": hash_of(path), "used": {}, "arguments": arguments}
    return rehashed(
        {
            "format": "qecompile-certificate-1",
            "qecompile": qe.__version__,
            "ok": True,
            "spec": head,
            "emitted": {"file": emitted.name, "sha256": hash_of(emitted), "metanet": metanet}
            if emitted
            else None,
            "elaborated": elaborated(spec),
            "basis": basis,
            "small": small(spec, basis),
            "obligations": obligations(basis, spec, emitted is not None),
        }
    )


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
