"""The command: a certificate, a spec and perhaps an emitted file to one line for every fact confirmed.

Exit status: 0 everything is confirmed; 1 something does not hold; 2 the input cannot be read; 3 nothing was
found to be wrong, and something is too large to be confirmed here ("NOT RE-CHECKED"). Nothing in the
certificate is trusted: what it should say is built again, from the files given, and compared entry by entry;
only the lists of diagrams are taken from it, and judged (`diagrams.py`).
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .diagrams import Forest
from .elaborate import elaborate
from .kernels import KERNELS, check_kernels
from .listing import Dims, check_basis, check_small, counts
from .mixing import restrict, stated_mixing
from .nullity import Wrong
from .obligations import check_obligations
from .reading import Json, hashed, read_bytes, read_certificate, require
from .spec import Elaborated, MetaNet
from .values import BadInput


def main(arguments: Sequence[str]) -> int:
    """Check one certificate, print what was confirmed, give the exit status."""
    parser = argparse.ArgumentParser(prog="recheck", description="Re-check a proof certificate of qecompile.")
    parser.add_argument("certificate", type=Path)
    parser.add_argument("spec", type=Path)
    parser.add_argument("emitted", type=Path, nargs="?", help="the emitted file, if there is one")
    parser.add_argument("--grammar", type=Path, help="sym.lark, where it is not beside this program")
    given = parser.parse_args(arguments)
    rest = left_out = 0
    try:
        for fact in recheck(given.certificate, given.spec, given.emitted, given.grammar or find_grammar()):
            rest += fact.startswith("NOT ")
            left_out += fact.startswith("NOT RE-CHECKED")
            print(fact if fact.startswith("NOT ") else f"confirmed: {fact}", flush=True)
    except Wrong as wrong:
        print(f"WRONG: {wrong}")
        return 1
    except BadInput as bad:
        print(f"cannot be checked: {bad}")
        return 2
    except (Exception, SystemExit) as error:  # of a form that nobody expected: refused, without a traceback
        print(f"cannot be checked: {type(error).__name__}: {str(error)[:300]}")
        return 2
    print("all confirmed" + (", but for what is marked NOT" if rest else ""))
    return 3 if left_out else 0


def find_grammar() -> Path:
    """The grammar of the language: inside the package in a wheel, else beside it."""
    package = Path(__file__).resolve().parent.parent
    for path in (package / "grammars" / "sym.lark", package.parent / "grammars" / "sym.lark"):
        if path.is_file():
            return path
    raise BadInput("there is no grammar here: name it with --grammar")


def recheck(path: Path, spec_path: Path, emitted_path: Path | None, grammar: Path) -> Iterator[str]:
    """The facts of a certificate, each confirmed when it is given."""
    values = read_certificate(path)
    require(values, "ok", True)
    yield "the certificate is whole"
    spec, emitted = values["spec"], values["emitted"]
    if (emitted is None) != (emitted_path is None):
        raise BadInput("name the emitted file if, and only if, the certificate is about one")
    text = read_bytes(spec_path)
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in spec["arguments"].items()}
    if hashed(text) != spec["sha256"]:
        raise Wrong(f"{spec_path.name} is not the spec that was proved: its hash differs")
    found = elaborate(spec_path, spec["name"], given, grammar)
    expected = {
        "name": spec["name"],
        "file": spec_path.name,
        "sha256": hashed(text),
        "used": found.used,
        "arguments": found.arguments,
    }
    require(values, "spec", expected)
    require(values, "elaborated", found.as_json())
    said = ", ".join(f"{k} = {list(v) if isinstance(v, tuple) else v}" for k, v in found.arguments.items())
    size = f"{len(found.spaces)} spaces, {len(found.params)} parameters"
    yield f"the spec's text, and what {spec['name']}({said}) says: {size}"
    forest = Forest(found)
    dims = check_basis(values["basis"], forest)
    total = sum(dim for (source, _), dim in dims.items() if source)
    yield f"the diagrams listed are a basis: {total} maps between {len(found.params)}^2 pairs of parameters"
    yield check_small(values, forest)
    if not re.fullmatch(r"\d+(\.\w+)+", values["qecompile"]):
        raise Wrong("`qecompile` of the certificate is no version")
    file = read_emitted(values, found, emitted_path, dims) if emitted_path else None
    counted = {**counts(values["basis"], dims), **(file.counted if file else {})}
    entries = sum(math.prod(found.shape(name)) for name in found.params)
    parts = () if file is None else ("file", "kernels") if file.kernels else ("file",)
    yield from check_obligations(values["obligations"], parts, found.model, entries, counted)
    if file is not None:
        yield from run_emitted(file, found)


# The emitted file


@dataclass(frozen=True)
class Emitted:
    """An emitted file, the network that it should have, and the weights that its layer should have."""

    name: str
    source: bytes
    kernels: bytes
    net: MetaNet
    codes: Mapping[str, tuple[str, int]]
    weights: Mapping[tuple[str | None, str], int] | None

    @property
    def counted(self) -> dict[str, int]:
        """The figures of obligations that are about the kernels and the weights."""
        kernels = {"kernels.lines": len(self.kernels.decode().splitlines())}
        if self.weights is None:
            return kernels
        bias = sum(n for (source, _), n in self.weights.items() if source is None)
        linear = sum(self.weights.values()) - bias
        learned = any(mode == "lowrank" for mode, _ in self.codes.values())  # probes count learned codes too
        probes = {} if learned else {"probes.weights": linear + bias}
        return {**kernels, "weights.linear": linear, "weights.bias": bias, **probes}


def read_emitted(values: Json, spec: Elaborated, path: Path, dims: Dims) -> Emitted:
    """The emitted file, whose bytes must be those that were proved."""
    source, name = read_bytes(path), values["emitted"]["metanet"]
    require(values, "emitted", {"file": path.name, "sha256": hashed(source), "metanet": name})
    if name not in spec.metanets and (name is not None or spec.metanets):
        raise Wrong(f"the spec declares no network {name!r}")
    if not source.startswith(f"# Generated by qecompile {values['qecompile']} from ".encode()):
        raise Wrong("the emitted file is not by the version that the certificate names")
    net = spec.metanets.get(name, MetaNet())
    codes, context = stated_mixing(source)
    plain, start, kernels = source.partition(KERNELS)
    restricted = restrict(dims, spec, net, codes, context)
    return Emitted(path.name, plain, start + kernels, net, codes, restricted)


def run_emitted(file: Emitted, spec: Elaborated) -> Iterator[str]:
    """The facts about what an emitted file computes."""
    from .elements import Draws  # needs torch, as what follows does
    from .emitted import check_module
    from .source import import_source
    from .watched import unchanged

    module = import_source(file.source, file.name)
    yield "the emitted file's bytes; its source says nothing but what computes"
    if file.kernels:
        check_kernels(file.source, file.kernels, file.name)
        line = len(file.source.splitlines()) + 1
        yield f"the Triton kernels from line {line} on change nothing where no GPU is"
        if b"tl.constexpr" in file.kernels:
            yield "NOT CLAIMED: what they compute on a GPU; the certificate is about the file in plain torch"
    draws = Draws(spec, seed=int(hashed(file.source)[:15], 16))  # which a file cannot foresee
    try:
        with unchanged(module):
            yield from check_module(module, draws, file.net, file.weights, file.codes)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise Wrong(f"the emitted file does not run: {type(error).__name__}: {str(error)[:300]}") from None
