"""The command: a certificate, a spec and perhaps an emitted file to one line for every fact confirmed.

Exit status: 0 everything is confirmed; 1 something does not hold; 2 the input cannot be read. Nothing in the
certificate is trusted: what it should say is built again, from the files given, and compared entry by entry;
only the lists of diagrams are taken from it, and judged (`diagrams.py`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from .diagrams import Forest, Part, check_parts, small_sizes
from .elaborate import Elaborated, MetaNet, elaborate
from .mixing import restrict, stated_mixing
from .nullity import Problem, Wrong, nullity
from .obligations import check_obligations
from .values import BadInput

FORMAT = "qecompile-certificate-1"
KEYS = set("format qecompile ok spec emitted elaborated basis small obligations sha256".split())
LARGEST = 1 << 28
Json = Mapping[str, Any]
Placed = tuple[tuple[tuple[int, ...], Problem], ...]
Dims = dict[tuple[str | None, str], int]


def main(arguments: Sequence[str]) -> int:
    """Check one certificate, print what was confirmed, give the exit status."""
    parser = argparse.ArgumentParser(prog="recheck", description="Re-check a proof certificate of qecompile.")
    parser.add_argument("certificate", type=Path)
    parser.add_argument("spec", type=Path)
    parser.add_argument("emitted", type=Path, nargs="?", help="the emitted file, if there is one")
    parser.add_argument("--grammar", type=Path, help="sym.lark, where it is not beside this program")
    given = parser.parse_args(arguments)
    try:
        for fact in recheck(given.certificate, given.spec, given.emitted, given.grammar or find_grammar()):
            print(f"confirmed: {fact}" if fact[:4] != "NOT " else fact, flush=True)
    except Wrong as wrong:
        print(f"WRONG: {wrong}")
        return 1
    except BadInput as bad:
        print(f"cannot be checked: {bad}")
        return 2
    except (Exception, SystemExit) as error:  # of a form that nobody expected: refused, without a traceback
        print(f"cannot be checked: {type(error).__name__}: {str(error)[:300]}")
        return 2
    print("all confirmed")
    return 0


def find_grammar() -> Path:
    """The grammar of the language: inside the package in a wheel, else beside it."""
    package = Path(__file__).resolve().parent.parent
    for path in (package / "grammars" / "sym.lark", package.parent / "grammars" / "sym.lark"):
        if path.is_file():
            return path
    raise BadInput("there is no grammar here: name it with --grammar")


def recheck(path: Path, spec_path: Path, emitted_path: Path | None, grammar: Path) -> Iterator[str]:
    """The facts of a certificate, each confirmed when it is given."""
    values = read_json(path)
    if values.get("format") != FORMAT or values.keys() != KEYS:
        raise BadInput(f"{path.name} is no certificate of the format {FORMAT}")
    require(values, "sha256", hashed(canonical({k: v for k, v in values.items() if k != "sha256"}).encode()))
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
    yield f"the spec's text, and what it says: {len(found.spaces)} spaces, {len(found.params)} parameters"
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
    yield from check_obligations(values["obligations"], file is not None, found.model, entries, counted)
    if file is not None:
        yield from run_emitted(file, found)


# Reading


def read_json(path: Path) -> Json:
    """The values of a JSON file; names that stand twice and numbers that are none are refused."""
    if path.is_file() and path.stat().st_size > LARGEST:
        raise BadInput(f"{path.name} is too large to be a certificate")
    try:
        text = read_bytes(path).decode("utf-8")
        values = json.loads(text, object_pairs_hook=without_repeats, parse_constant=no_constant)
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadInput(f"{path.name} is no certificate: {type(error).__name__}: {str(error)[:200]}") from None
    if not isinstance(values, dict):
        raise BadInput(f"{path.name} is no certificate")
    return values


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of which every name stands once."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return dict(pairs)


def no_constant(name: str) -> NoReturn:
    """Refuse NaN and infinities."""
    raise ValueError(f"{name} is no number")


def read_bytes(path: Path) -> bytes:
    """The bytes of a regular file."""
    try:
        if not path.is_file():
            raise BadInput(f"{path} is no file")
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None


def hashed(data: bytes) -> str:
    """The SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: object) -> str:
    """One text for one value; unlike `==` it tells `true` from `1`."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def require(values: Json, name: str, expected: object) -> None:
    """Refuse an entry that is not what it should be."""
    if canonical(values[name]) == canonical(expected):
        return
    if isinstance(expected, Mapping) and isinstance(given := values[name], Mapping):
        name += "." + ", ".join(k for k in expected if canonical(given.get(k)) != canonical(expected[k]))
    raise Wrong(f"`{name}` of the certificate is not what the files say")


# The basis


def check_basis(basis: Json, forest: Forest) -> Dims:
    """The dimensions of all maps, and from None of all invariants; every list must be a basis."""
    names, dims = list(forest.spec.params), {}
    if basis.keys() != {"hom", "affine"}:
        raise BadInput("the basis has not the entries `hom` and `affine`")
    for kind, sources in (("hom", names), ("affine", [None])):
        entries, known = basis[kind], dict[tuple[int, Placed], int]()
        lists = read_lists(entries)
        places = {(entry.get("source"), entry["target"]): k for k, entry in enumerate(entries)}
        wanted = [(p, q) for p in sources for q in names]
        if len(places) != len(entries) or places.keys() - set(wanted):
            raise Wrong(f"`{kind}` lists a pair twice, or one that the spec has not")
        for source, target in wanted:
            problems = tuple((where, problem) for _, where, problem in forest.problems(target, source))
            k = places.get((source, target))
            diagrams = lists[k] if k is not None else ()
            key = id(diagrams), problems  # `lists` keeps them alive
            try:
                if key not in known:
                    known[key] = dimension(diagrams, problems)
            except Wrong as wrong:
                raise Wrong(f"from {source or 'nothing'} to {target}: {wrong}") from None
            dims[source, target] = dim = known[key]
            if k is not None:
                entry = {"target": target, "dim": dim, "diagrams": entries[k]["diagrams"]}
                require({"entry": entries[k]}, "entry", {"source": source, **entry} if source else entry)
    return dims


def read_lists(entries: Sequence[Json]) -> list[tuple[Part, ...]]:
    """The diagrams of every entry; an entry may name an earlier one that has the same."""
    lists: list[tuple[Part, ...]] = []
    for entry in entries:
        diagrams = entry["diagrams"]
        if isinstance(diagrams, list):
            lists.append(tuple(map(read_diagram, diagrams)))
            continue
        same = diagrams["same"]
        if type(same) is not int or len(diagrams) != 1 or not 0 <= same < len(lists):
            raise BadInput("an entry names no earlier list of diagrams")
        if not isinstance(entries[same]["diagrams"], list):
            raise BadInput("an entry names a list of diagrams that is not written out")
        lists.append(lists[same])
    return lists


def read_diagram(d: Json) -> Part:
    """A diagram on all axes of a pair."""

    def groups(given: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(k for k in group) for group in given)

    supports = tuple((tuple(s["blocks"]), groups(s["patterns"])) for s in d["support"] or ())
    part = Part(groups(d["blocks"]), groups(d["pairs"]), groups(d["epsilons"]), supports)
    written: Json = {
        "blocks": part.blocks,
        "pairs": part.pairs,
        "epsilons": part.epsilons,
    }
    listed = [{"blocks": heads, "patterns": patterns} for heads, patterns in supports]
    written = {**written, "support": listed or None}
    numbers = [k for group in (*part.groups, *(g for h, ps in supports for g in (h, *ps))) for k in group]
    if canonical(d) != canonical(written) or any(type(k) is not int for k in numbers):
        raise BadInput("a diagram is not of the form of one")
    if any(not group for group in (*part.groups, *(h for h, _ in supports))):
        raise BadInput("a diagram has an empty group of axes")
    return part


def counts(basis: Json, dims: Dims) -> dict[str, int]:
    """The figures of obligations that can be counted here."""
    maps = [dim for (source, _), dim in dims.items() if source is not None]
    pairs, total = sum(dim > 0 for dim in maps), sum(maps)
    invariants = sum(dims.values()) - total
    diagrams, affine = (sum(map(len, read_lists(basis[kind]))) for kind in ("hom", "affine"))
    return {
        "invariance.diagrams": diagrams,
        "invariance.pairs": pairs,
        "invariance.affine": affine,
        "dimension.pairs": pairs,
        "dimension.zero": len(maps) - pairs,
        "dimension.total": total,
        "dimension.invariants": invariants,
        "weights.maps": total,
        "weights.invariants": invariants,
        "family.weights": total + invariants,
    }


def dimension(diagrams: Sequence[Part], problems: Placed) -> int:
    """The dimension of a space of maps that a list of diagrams is a basis of, else refused.

    The list must be all products of its parts under each root. No list says that some root has no part.
    """
    if not diagrams:
        if all(nullity(problem, small_sizes(problem)) for _, problem in problems):
            raise Wrong("there are maps, and none is listed")
        return 0
    split = [tuple(restricted(d, places) for places, _ in problems) for d in diagrams]
    parts = [tuple(dict.fromkeys(column)) for column in zip(*split, strict=True)]
    if len(set(split)) != len(split) or len(split) != math.prod(map(len, parts)):
        raise Wrong("the diagrams are not all products of those under each root, each once")
    for d, row in zip(diagrams, split, strict=True):
        kept = sum(len(p.groups) + len(p.supports) for p in row)
        if len(d.groups) + len(d.supports) != kept:
            raise Wrong("a diagram joins axes under different roots, or names one that is not there")
    return math.prod(check_parts(problem, found) for (_, problem), found in zip(problems, parts, strict=True))


def restricted(d: Part, places: Sequence[int]) -> Part:
    """What a diagram says of the axes at some places, renumbered."""
    local = {place: k for k, place in enumerate(places)}

    def inside(groups: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
        return tuple(sorted(tuple(sorted(local[k] for k in g)) for g in groups if local.keys() >= set(g)))

    here = ((heads, patterns) for heads, patterns in d.supports if local.keys() >= set(heads))
    supports = sorted((tuple(local[k] for k in heads), patterns) for heads, patterns in here)
    return Part(inside(d.blocks), inside(d.pairs), inside(d.epsilons), tuple(supports))


def check_small(values: Json, forest: Forest) -> str:
    """Refuse dimensions at sizes of at most 2, where diagrams are dependent, that are not the nullity there.

    There is one for every list of diagrams that is written out.
    """
    sizes = {name: min(space.size, 2) for name, space in forest.spec.spaces.items()}
    rows = []
    for entry in (*values["basis"]["hom"], *values["basis"]["affine"]):
        if isinstance(entry["diagrams"], list):
            source, target = entry.get("source"), entry["target"]
            found = math.prod(
                nullity(problem, tuple(sizes[name] for name in forest.members[root]))
                for root, _, problem in forest.problems(target, source)
            )
            rows.append([source, target, found, found])
    require(values, "small", {"sizes": sizes, "dims": rows})
    return f"{len(rows)} dimensions at sizes of at most 2"


# The emitted file


@dataclass(frozen=True)
class Emitted:
    """An emitted file, the network that it should have, and the weights that its layer should have."""

    name: str
    source: bytes
    net: MetaNet
    codes: Mapping[str, tuple[str, int]]
    weights: Mapping[tuple[str | None, str], int] | None

    @property
    def counted(self) -> dict[str, int]:
        """The figures of obligations that are about the weights."""
        if self.weights is None:
            return {}
        bias = sum(n for (source, _), n in self.weights.items() if source is None)
        linear = sum(self.weights.values()) - bias
        learned = any(mode == "lowrank" for mode, _ in self.codes.values())  # probes count learned codes too
        probes = {} if learned else {"probes.weights": linear + bias}
        return {"weights.linear": linear, "weights.bias": bias, **probes}


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
    return Emitted(path.name, source, net, codes, restrict(dims, spec, net, codes, context))


def run_emitted(file: Emitted, spec: Elaborated) -> Iterator[str]:
    """The facts about what an emitted file computes."""
    from .elements import Draws  # needs torch, as what follows does
    from .emitted import check_module
    from .source import import_source

    module = import_source(file.source, file.name)
    yield "the emitted file's bytes; its source reaches for nothing but torch"
    draws = Draws(spec, seed=int(hashed(file.source)[:15], 16))  # which a file cannot foresee
    try:
        yield from check_module(module, draws, file.net, file.weights, file.codes)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise Wrong(f"the emitted file does not run: {type(error).__name__}: {str(error)[:300]}") from None
