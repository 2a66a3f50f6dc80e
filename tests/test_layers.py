"""Imports flow one way, and only what runs networks imports torch.

`STAGES` places every file of the package. A file may import the stages named behind its own, and the files
that stand before it in its own stage; nothing else. A new file must be given its place here: what it may
import is a decision, not an accident.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "qecompile"


class Stage(NamedTuple):
    """Files by dotted name, in order, and the stages that they may import."""

    files: str
    below: str


STAGES = {
    "errors": Stage("version errors", below=""),
    "spec": Stage("spec nesting identifiers provenance", below="errors"),
    # which nonlinearities a type allows
    "activations": Stage("activations", below="errors spec"),
    # Spec -> group
    "orbit": Stage("orbit_algebra orbit_torus orbit_rank orbit_rules orbit", below="spec"),
    "alpha": Stage("alpha", below="errors spec orbit"),
    # text -> Spec
    "syntax": Stage("tree lexical syntax_errors syntax_tree syntax", below="errors"),
    "values": Stage("expressions arguments", below="errors syntax"),
    "resolve": Stage(
        "files declarations names resolve_sources resolve_spaces resolve_types resolve_features "
        "resolve_claims resolve_metanets frames resolve",
        below="errors spec activations alpha syntax values",
    ),
    # text -> the same text, laid out
    "format": Stage(
        "format_tokens format_spacing format_breaks format_columns format_lines formatter",
        below="errors syntax values resolve",
    ),
    # Spec -> group elements, basis
    "groups": Stage("group_elements group_action groups", below="spec"),
    "basis": Stage("diagrams signature invariants basis", below="errors spec"),
    # Basis -> source text -> module
    "plan": Stage(
        "factor plan plan.nodes plan.layout plan.mask plan.dual plan.gauge plan.build plan.codes "
        "plan.invariants plan.factors plan.covariant plan.alpha",
        below="errors spec alpha basis",
    ),
    "schedule": Stage(
        "schedule schedule.nodes schedule.lower schedule.text schedule.check schedule.rewrite "
        "schedule.passes schedule.defer schedule.interpret schedule.cost",
        below="errors spec basis plan",
    ),
    "codegen": Stage(
        "codegen codegen.runtime codegen.blocks codegen.writer codegen.reduce codegen.expand "
        "codegen.variance codegen.initialise codegen.linear codegen.gauge codegen.invariant "
        "codegen.alpha_raw codegen.alpha_covariant codegen.alpha codegen.network "
        "codegen.kernels codegen.kernels.launching codegen.kernels.mean codegen.kernels.mix_ops "
        "codegen.kernels.stack_ops codegen.kernels.stack_network codegen.kernels.form "
        "codegen.kernels.tiles codegen.kernels.mix codegen.kernels.stack "
        "codegen.kernels.write codegen.emit",
        below="errors spec alpha activations basis plan schedule",
    ),
    "liveness": Stage(
        "scalings liveness judgement", below="errors spec activations orbit alpha plan codegen"
    ),
    # two sets of weights -> the element between them
    "alignment": Stage(
        "alignment alignment.balance alignment.compact alignment.fingerprints alignment.align augment",
        below="errors spec groups",
    ),
    # checkpoint files
    "checkpoints": Stage(
        "checkpoints checkpoints.stored checkpoints.header checkpoints.records checkpoints.layouts "
        "checkpoints.suggestions checkpoints.matching checkpoints.sharing checkpoints.replace "
        "checkpoints.safetensors_file checkpoints.torch_file checkpoints.contents checkpoints.reading "
        "checkpoints.elements checkpoints.acting checkpoints.aligning",
        below="errors spec groups alignment",
    ),
    # Spec, the user's own network -> what the group does to it
    "model": Stage(
        "model model.finding model.running model.network model.moves model.points model.blame "
        "model.preserve model.candidates model.tangent model.kernel model.unseen model.rows "
        "model.directions model.maximality model.estimate model.audit",
        below="errors spec orbit groups checkpoints",
    ),
    # the user's own network -> the text of a spec
    "inference": Stage(
        "inference inference.atoms inference.capture inference.values inference.rules_shape inference.rules "
        "inference.flow inference.draft inference.fibres inference.naming inference.text "
        "inference.discover inference.inputs",
        below="errors spec orbit syntax values resolve format groups model",
    ),
    "checks": Stage("checks", below="errors spec orbit basis liveness model"),
    "loading": Stage("loading", below=""),
    # Spec -> what a proof says about its basis
    "obligations": Stage(
        "verify.modular verify.generators verify.nullity verify.pairs verify.tensors verify.diagrams "
        "verify.gram verify.dimensions verify.listing verify.obligations verify.basis_proof verify.small "
        "verify.exact verify.translate verify.translation verify.layer_probes verify.certificate",
        below="errors spec basis",
    ),
    # module, Spec -> proof
    "verify": Stage(
        "verify verify.graph verify.refused verify.atoms verify.types verify.canonical verify.references "
        "verify.parts verify.meet verify.summands verify.unify verify.joint verify.facts "
        "verify.rules verify.rules.call verify.rules.still verify.rules.movement verify.rules.picking "
        "verify.rules.diagonals verify.rules.pointwise verify.rules.looking_up verify.rules.indexing "
        "verify.rules.assembling verify.rules.joining "
        "verify.rules.combining verify.rules.choosing verify.rules.contracting verify.rules.reducing "
        "verify.rules.normalising verify.rules.filling verify.rules.linalg verify.rules.pooling "
        "verify.rules.recurrent verify.rules.spectra verify.rules.writing verify.rules.table "
        "verify.laws verify.steps verify.raw verify.intervals verify.raw_matrices verify.raw_results "
        "verify.cocycle verify.components verify.logs verify.mirrors verify.hints verify.pieces "
        "verify.orbit_claim verify.judge verify.arguments verify.infer "
        "verify.export verify.trace verify.claims verify.sample verify.running verify.equivariance "
        "verify.network",
        below="errors spec groups basis",
    ),
    # all of a proof; what the compiler hands to it
    "proofs": Stage(
        "verify.imported verify.sameness verify.typed verify.prove",
        below="errors spec basis model obligations verify",
    ),
    "proving": Stage(
        "proving",
        below="errors spec values resolve basis codegen plan loading obligations verify proofs",
    ),
    # on top
    "pipeline": Stage(
        "pipeline",
        below="errors spec values resolve basis liveness checkpoints model checks schedule codegen loading "
        "proofs proving",
    ),
    "public": Stage("__init__", below="errors groups alignment checkpoints inference pipeline"),
    "commands": Stage(
        "tables console plan_report bench_report benchmark checkpoint_report report alpha_report "
        "prove_report audit_report format_report cli __main__",
        below="errors spec resolve format orbit basis liveness checks schedule loading checkpoints pipeline "
        "public model inference proofs proving",
    ),
    # beside the command: for pytest
    "testing": Stage(
        "pytest_plugin testing",
        below="errors spec syntax values resolve basis checks verify pipeline public",
    ),
    # beside everything: the checker of certificates imports nothing of the compiler
    "recheck": Stage(
        "recheck recheck.values recheck.spec recheck.elaborate recheck.nullity recheck.reading "
        "recheck.diagrams recheck.listing recheck.obligations recheck.mixing recheck.elements "
        "recheck.orbit recheck.words recheck.kernels recheck.source recheck.watched recheck.weights "
        "recheck.large recheck.network recheck.emitted recheck.command recheck.__main__",
        below="",
    ),
    # beside the command: for editors
    "lsp": Stage(
        "lsp lsp.group_words lsp.declared lsp.analysis lsp.occurrences lsp.hover lsp.completion lsp.protocol "
        "lsp.server lsp.__main__",
        below="errors spec syntax values resolve format orbit basis public commands",
    ),
}
USES_TORCH = {
    "inference.capture",
    "inference.draft",
    "inference.values",
    "inference.rules_shape",
    "inference.rules",
    "inference.flow",
    "inference.fibres",
    "inference.discover",
    "inference.inputs",
    "augment",
    "alignment.balance",
    "alignment.compact",
    "alignment.fingerprints",
    "alignment.align",
    "benchmark",
    "group_elements",
    "group_action",
    "groups",
    "model.finding",
    "model.running",
    "model.network",
    "model.moves",
    "model.points",
    "model.blame",
    "model.preserve",
    "model.candidates",
    "model.tangent",
    "model.kernel",
    "model.unseen",
    "model.rows",
    "model.directions",
    "model.maximality",
    "model.estimate",
    "model.audit",
    "verify.graph",
    "verify.facts",
    "verify.arguments",
    "verify.pieces",
    "verify.components",
    "verify.infer",
    "verify.export",
    "verify.trace",
    "verify.claims",
    "verify.sample",
    "verify.running",
    "verify.equivariance",
    "verify.network",
    "verify.exact",
    "verify.translate",
    "verify.translation",
    "verify.layer_probes",
    "verify.sameness",
    "verify.typed",
    "verify.prove",
    "testing",
    "checkpoints.safetensors_file",
    "checkpoints.torch_file",
    "checkpoints.reading",
    "checkpoints.aligning",
    "checkpoints.elements",
    "checkpoints.acting",
    "recheck.elements",
    "recheck.orbit",
    "recheck.words",
    "recheck.source",
    "recheck.watched",
    "recheck.weights",
    "recheck.large",
    "recheck.network",
    "recheck.emitted",
}

FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """The dotted name below the package: `codegen/emit.py` is `codegen.emit`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def placed() -> dict[str, set[str]]:
    """Every file that has a place, with the files that it may import."""
    allowed: dict[str, set[str]] = {}
    for stage in STAGES.values():
        names = stage.files.split()
        below = {name for other in stage.below.split() for name in STAGES[other].files.split()}
        allowed |= {name: below | set(names[:i]) for i, name in enumerate(names)}
    return allowed


def imported_names(path: Path) -> Iterator[str]:
    """Every dotted name that a file imports, anywhere in it; relative imports made absolute."""
    package = ("qecompile", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                start = ".".join(package[: len(package) - level + 1]) if level else ""
                base = ".".join(filter(None, [start, module]))
                yield from (f"{base}.{alias.name}" for alias in names)


def imported_files(path: Path) -> set[str]:
    """The files of the package that a file imports, by dotted name."""
    known = {module_name(other) for other in FILES}
    found = set()
    for name in imported_names(path):
        first, _, rest = name.partition(".")
        if first == "qecompile":
            while rest and rest not in known:  # `qecompile.spec.Spec` is in `spec`
                rest = rest.rpartition(".")[0]
            found.add(rest or "__init__")
    return found


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    name, allowed = module_name(path), placed()
    assert name in allowed, (
        f"qecompile/{path.relative_to(PACKAGE)} has no place: add `{name}` to a stage of STAGES in "
        "tests/test_layers.py, behind the files of that stage that it imports"
    )
    astray = sorted(imported_files(path) - allowed[name])
    assert not astray, f"`{name}` must not import {astray}: see its place in STAGES of tests/test_layers.py"


def test_every_place_belongs_to_a_file() -> None:
    gone = set(placed()) - {module_name(path) for path in FILES}
    assert not gone, f"STAGES in tests/test_layers.py names files that are not there: {sorted(gone)}"


def test_stages_stand_behind_those_they_import() -> None:
    seen: set[str] = set()
    for name, stage in STAGES.items():
        assert set(stage.below.split()) <= seen, name
        seen.add(name)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_only_what_runs_networks_imports_torch(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imported_names(path)}
    assert module_name(path) in USES_TORCH or not roots & {"torch", "triton"}


@pytest.mark.parametrize("module", ["qecompile", "qecompile.cli", "qecompile.codegen.emit"])
def test_importing_the_compiler_does_not_import_torch(module: str) -> None:
    program = f"import sys, {module}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
