"""Text or file to `Spec`: the entry of the language front end.

Takes text, gives a checked `Spec` or a `SymError` with every independent mistake. The steps of one spec:
names of values, arguments, `let`, spaces, included specs, parameters and features, then the statements about
them. Mathematics is not done here: a spec that resolves can still be refused by the stages that know groups.

How an include joins names: everything that `include block(n = 3) as layer[i]` brings is called
`layer[1].NAME`, in types, claims and Python alike. Spaces, parameters and features are brought; `expect`,
`metanet` and `model` statements speak about their own spec and stay there. `with D = stream` lets the space
`stream` stand for the root space `D` of the included spec, which must be of the same size and group.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from qecompile import tree
from qecompile.arguments import Argument, parse_arguments
from qecompile.declarations import Frame, Tables
from qecompile.errors import Collector, Span, suggest
from qecompile.files import Loader, SpecFile, as_source, read_text
from qecompile.frames import included_frames, open_frame
from qecompile.names import check_names, check_use
from qecompile.resolve_claims import read_expects, read_model
from qecompile.resolve_features import declare_features
from qecompile.resolve_metanets import check_activations, metanet_places, read_metanets
from qecompile.resolve_types import check_charges, declare_params
from qecompile.spec import Spec

__all__ = ["choose_spec", "load", "parse", "parse_arguments", "resolve_spec"]


def parse(
    text: str,
    name: str | None = None,
    *,
    path: str = "<text>",
    arguments: Mapping[str, Argument] | None = None,
) -> Spec:
    """The spec `name` of a text, or its last spec.

    >>> spec = parse("spec s(n: int = 2) { space a = n : permute  param W : a <- a }", arguments={"n": 5})
    >>> spec.params["W"].shape
    (5, 5)

    Args:
        text: What a `.sym` file holds.
        name: Which spec to take; without it the last one, which can include those before it.
        path: The name that diagnostics show. If it is a file, `use` starts from it.
        arguments: Values for parameters of the spec, instead of their defaults.

    Raises:
        SymError: with one diagnostic per independent mistake.
    """
    file = Path(path).resolve() if path != "<text>" else None
    source = as_source(text, path)
    collector = Collector()
    loader = Loader(collector, file.parent if file else None, open=[file] if file else [])
    parsed = loader.load(source, file)
    spec = choose_spec(parsed, name, collector) if parsed else None
    if parsed is None or spec is None:
        collector.stop()
    return resolve_spec(spec, parsed, arguments or {}, collector)


def load(
    path: str | os.PathLike[str],
    name: str | None = None,
    arguments: Mapping[str, Argument] | None = None,
) -> Spec:
    """The spec `name` of a file, or its last spec; see `parse`.

    Raises:
        SymError: if the file cannot be read, or with one diagnostic per independent mistake in it.
    """
    return parse(read_text(path), name, path=os.fsdecode(os.fspath(path)), arguments=arguments)


def choose_spec(file: SpecFile, name: str | None, collector: Collector) -> tree.SpecTree | None:
    """The spec of a name, else the last one; None if there is none, which is then recorded."""
    if not file.parsed.specs:
        help = "a file starts like: spec mlp(widths: ints = [784, 128, 10]) { ... }"
        collector.error("QE003", "this file declares no spec", Span(file.source, 1, 1), help=help)
        return None
    if name is None:
        return file.parsed.specs[-1]
    if name not in file.specs:
        known = ", ".join(f"`{n}`" for n in file.specs)
        near = suggest(name, file.specs, f"its specs: {known}")
        collector.error("QE004", f"this file declares no spec `{name}`", Span(file.source, 1, 1), help=near)
    return file.specs.get(name)


def resolve_spec(
    spec: tree.SpecTree, file: SpecFile, arguments: Mapping[str, Argument], collector: Collector
) -> Spec:
    """The `Spec` of a tree.

    Raises:
        SymError: with one diagnostic per independent mistake, those in `collector` included.
    """
    for part in file.all_files():
        for other in part.parsed.specs:
            check_names(other, collector)
    frame = open_frame(spec, file, arguments, Tables(collector))
    _declare_tensors(frame)
    expects, metanets, model = read_expects(frame), read_metanets(frame), read_model(frame)
    collector.finish()
    tables = frame.tables
    for other in file.parsed.specs:
        check_use(other, tables.warnings)
    check_charges(tables)
    resolved = Spec(
        name=spec.name.text,
        spaces=tuple(tables.spaces.entries.values()),
        parameters=tuple(tables.params.entries.values()),
        expects=expects,
        metanets=metanets,
        features=tuple(tables.features.entries.values()),
        model=model,
        arguments=tuple((p.name.text, frame.scope.values[p.name.text]) for p in spec.parameters),
        path=file.source.path,
        text=file.full_text(),
        warnings=tuple(replace(d, severity="warning") for d in tables.warnings.found),
        places=tuple(tables.params.places.items()),
        metanet_places=metanet_places(spec),
    )
    check_activations(resolved, spec, collector)
    collector.finish()
    return resolved


def _declare_tensors(frame: Frame) -> None:
    """Declare parameters, then features, in the order of the statements."""
    for statement in frame.spec.statements:
        if isinstance(statement, tree.ParamStatement):
            declare_params(frame, statement)
        elif isinstance(statement, tree.IncludeStatement):
            for inner in included_frames(frame, statement):
                _declare_tensors(inner)
    for statement in frame.spec.statements:
        if isinstance(statement, tree.FeatureStatement):
            declare_features(frame, statement)
