"""What the compiler hands to the proofs: its own text for a spec, and its layer at any sizes.

Takes a spec, gives a `Prover`; takes an emitted file, finds the spec that it comes from. The proofs are in
`verify/`, which knows nothing of plans and emitted code.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qecompile.arguments import Argument
from qecompile.codegen.emit import design, emit_source
from qecompile.errors import Collector, Diagnostic, SymError
from qecompile.files import Loader, as_source, read_text
from qecompile.loading import import_source
from qecompile.provenance import Provenance, parse_header, split_kernels
from qecompile.resolve import load
from qecompile.spec import Spec
from qecompile.verify.certificate import TEXT
from qecompile.verify.layer_probes import Mixing
from qecompile.verify.prove import Accused, Proof, Prover, prove_module


def prover(spec: Spec, metanet: str | None = None) -> Prover:
    """What proves the spec, the file emitted from it, and edited copies of that.

    Raises:
        SymError: the spec asks for a network that its group forbids.
    """
    made = design(spec, metanet)
    source = emit_source(spec, metanet)
    codes = tuple((code.space, code.rank) for code in made.plan.codes)
    accused = Accused(
        source=source,
        kernels=split_kernels(emit_source(spec, metanet, kernels=True))[1],
        net=made.net,
        mixing=Mixing(codes, made.plan.context_rank),
        build_at=lambda small: import_source(emit_source(small), name=small.name),
    )
    return Prover(spec, accused, used=used_files(spec))


def prove(spec: Spec, module: Callable[..., object] | None, metanet: str | None, **options: Any) -> Proof:
    """Prove a spec and what is emitted for it; or a module. See `pipeline.prove`."""
    if module is None:
        return prover(spec, metanet).prove_spec()
    source = _emitted_source(module, spec)
    if source is not None and not options:
        return prover(spec, metanet or parse_header(source).metanet).prove_source(source)
    return prove_module(spec, module, used_files(spec), **options)


def _emitted_source(module: Callable[..., object], spec: Spec) -> str | None:
    """The text of the emitted file that a module comes from, if it comes from one of this spec."""
    home = sys.modules.get(type(module).__module__)
    try:
        source = inspect.getsource(home) if home is not None else ""
        return source if parse_header(source).spec == spec.name else None
    except (OSError, TypeError, ValueError):
        return None


def used_files(spec: Spec) -> dict[str, str]:
    """The hash of every file that the spec's own reaches by `use`, by path from its directory."""
    if spec.path == TEXT:
        return {}
    path = Path(spec.path).resolve()
    loader = Loader(Collector(), path.parent, open=[path])
    loader.load(as_source(read_text(spec.path), spec.path), path)
    return {
        os.path.relpath(used, path.parent).replace(os.sep, "/"): hashlib.sha256(used.read_bytes()).hexdigest()
        for used in sorted(loader.loaded)
    }


def find_spec(emitted: Path, against: Path | None = None) -> tuple[Spec, str | None, str]:
    """The spec that an emitted file comes from, its network, and the file's text.

    Args:
        emitted: the file; its header names the spec, its arguments and the `.sym` file, which lies beside it.
        against: the `.sym` file, if it lies elsewhere or has changed.

    Raises:
        SymError: the header names no spec, or the spec is not there or says something else by now.
    """
    source = read_text(emitted)
    try:
        header = parse_header(source)
    except ValueError as mistake:
        help = "prove files that `qecompile build` wrote; for a module of your own use `qecompile.prove`"
        raise SymError(
            [Diagnostic("QE960", f"`{emitted}` is no emitted file: {mistake}", help=help)]
        ) from mistake
    path = against or emitted.parent / header.file
    if not path.exists():
        help = "name the `.sym` file with --against"
        raise SymError([Diagnostic("QE961", f"there is no `{header.file}` beside `{emitted}`", help=help)])
    spec = load(path, header.spec, _arguments(header))
    if against is None and f"(sha256 {spec.digest[:12]})" not in source.split("\n", 1)[0]:
        problem = f"`{path}` is not the text that `{emitted}` was emitted from"
        help = "build the file again, or compare it with the spec as it is now: --against"
        raise SymError([Diagnostic("QE962", problem, help=help)])
    return spec, header.metanet, source


def _arguments(header: Provenance) -> dict[str, Argument]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in header.arguments.items()}
