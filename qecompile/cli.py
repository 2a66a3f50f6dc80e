"""The command `qecompile`: arguments in, text or JSON out, and an exit code.

0: done; 1: a check failed; 2: bad input, told as diagnostics. Whatever the user got wrong, including the
command line and the files it names, ends here as a `Diagnostic`; only a mistake of the compiler shows a
traceback, with an exit code of its own, so that no script takes it for a check that failed.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qecompile import __version__, pipeline, resolve
from qecompile.alpha_report import AlphaReport
from qecompile.audit_report import AuditReport
from qecompile.bench_report import BenchReport
from qecompile.checkpoint_report import ActReport, MatchReport
from qecompile.checkpoints.contents import check_form, read_entries
from qecompile.checkpoints.matching import match
from qecompile.checkpoints.sharing import shared_numbers
from qecompile.checkpoints.stored import quote
from qecompile.console import ReaderGoneError, UnwritableError, is_terminal, print_text, silence, tell
from qecompile.errors import Collector, Diagnostic, SymError
from qecompile.format_report import FormatReport
from qecompile.formatter import Formatted, format_file
from qecompile.loading import write_source
from qecompile.plan_report import PlanReport
from qecompile.prove_report import ProveReport
from qecompile.report import BuildReport, CheckReport, DeriveReport, Report, class_names, kernel_names
from qecompile.schedule.cost import Sizes
from qecompile.spec import Spec
from qecompile.tables import Block, render

if TYPE_CHECKING:
    from qecompile.verify.prove import Proof

DONE, FAILED, BAD_INPUT = 0, 1, 2
OUR_FAULT, UNWRITABLE, INTERRUPTED, NO_READER = 70, 74, 130, 141

BUILT = "`check`, `derive`, `alpha`, `build`, `prove`, `audit`, `infer`, `bench`, `fmt` and `act`"
LATER = {
    "explain": "draw the spec as an HTML page",
}

CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]
"""The base of every mistake in a command line: click's, of which typer may carry a copy of its own."""

app = typer.Typer(
    name="qecompile",
    help="Compile a symmetry spec (.sym) to a complete equivariant network over weights.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="the .sym file")]
Defines = Annotated[
    list[str] | None,
    typer.Option(
        "-D", "--define", metavar="NAME=VALUE", help="set a parameter of the spec, as in widths=[64,10]"
    ),
]
SpecName = Annotated[
    str | None, typer.Option("--spec", metavar="NAME", help="the spec to take, instead of the last in FILE")
]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="the checkpoint to write")]
SaveElement = Annotated[
    Path | None, typer.Option("--save-element", metavar="ELEMENT", help="write the element here")
]
Force = Annotated[bool, typer.Option("--force", help="replace files that exist")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return app(args=words, prog_name="qecompile", standalone_mode=False) or DONE
    except SymError as mistake:
        return _refuse(mistake.diagnostics, words)
    except CommandLineError as mistake:
        return _refuse([_bad_command_line(mistake)], words)
    except ReaderGoneError:
        return NO_READER
    except UnwritableError as reason:
        return _give_up(str(reason))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as failure:
        if isinstance(failure, OSError) and failure.filename is None:  # typer prints its help by itself
            silence(sys.stdout)
            return _give_up((failure.strerror or str(failure)).lower())
        tell(f"{traceback.format_exc()}this is a mistake in qecompile, not in your input: please report it")
        return OUR_FAULT


def _give_up(reason: str) -> int:
    tell(Diagnostic("QE953", f"cannot write the output: {reason}").render())
    return UNWRITABLE


@app.command()
def check(
    file: File,
    define: Defines = None,
    spec: SpecName = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="CHECKPOINT", help="see whether the parameters stand in it"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Parse and elaborate FILE and test every `expect`."""
    loaded = _load(file, define, spec)
    matched = None if checkpoint is None else match(loaded, str(checkpoint), read_entries(checkpoint))
    if matched is None and (shared := shared_numbers(loaded)):
        tell(_rendered(shared))
    _show(report := CheckReport(loaded, pipeline.check(loaded), matched), as_json)
    if not report.ok:
        raise typer.Exit(FAILED)


@app.command()
def derive(file: File, define: Defines = None, spec: SpecName = None, as_json: Json = False) -> None:
    """Print the basis: how many equivariant linear maps join each two parameters."""
    loaded = _load(file, define, spec)
    _show(DeriveReport(loaded, pipeline.derive(loaded)), as_json)


@app.command()
def alpha(
    file: File,
    define: Defines = None,
    spec: SpecName = None,
    metanet: Annotated[
        str | None, typer.Option(metavar="NAME", help="which `metanet` block to judge, if there are several")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the alpha-maps that the group allows, and whether the declared one can matter."""
    loaded = _load(file, define, spec)
    _show(AlphaReport(loaded, pipeline.judge_alpha(loaded, metanet)), as_json)


@app.command()
def build(
    file: File,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.py", help="the file to write")],
    define: Defines = None,
    spec: SpecName = None,
    metanet: Annotated[
        str | None, typer.Option(metavar="NAME", help="which `metanet` block to build, if there are several")
    ] = None,
    print_plan: Annotated[
        bool, typer.Option("--print-plan", help="show each operation of the layer, with its cost")
    ] = False,
    kernels: Annotated[
        bool, typer.Option(help="end the file with Triton kernels for large tensors on a GPU")
    ] = True,
    as_json: Json = False,
) -> None:
    """Write the layers and networks of FILE as one Python file."""
    loaded = _load(file, define, spec)
    source = pipeline.generate(loaded, metanet, kernels=kernels)
    parameters = pipeline.count_parameters(loaded, metanet)
    report = BuildReport(loaded, str(output), class_names(source), parameters, kernel_names(source))
    if warnings := pipeline.warn_of_dead_alpha(loaded, metanet):
        tell(_rendered(warnings))
    if print_plan:
        plain, stack = (pipeline.plan_layer(loaded, metanet, kernels=stacks) for stacks in (False, kernels))
        report = replace(report, plan=PlanReport(plain, stack=stack if stack != plain else None))
    if not as_json:
        _show(report, as_json)  # before writing: a count may be a reason to stop
    _write(source, output, file)
    if as_json:
        _show(report, as_json)


@app.command()
def prove(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="the .sym file, or an emitted .py file")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="CERT.json", help="the certificate; beside FILE by default"),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="SPEC.sym",
            help="the spec of an emitted file, as it is now, if not beside it",
        ),
    ] = None,
    define: Defines = None,
    spec: SpecName = None,
    metanet: Annotated[
        str | None, typer.Option(metavar="NAME", help="which `metanet` block is meant, if there are several")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove what FILE says, and write a certificate. An emitted file is imported, which runs its code."""
    emitted = file.suffix == ".py"
    if emitted and (define or spec or metanet):
        raise typer.BadParameter(
            "an emitted file says itself which spec, arguments and network it comes from"
        )
    if against is not None and not emitted:
        raise typer.BadParameter("--against is for an emitted file")
    certificate = output or (file.with_suffix(".cert.json") if emitted else Path(f"{file}.cert.json"))
    _keep_apart(certificate, file, against)
    loaded = None if emitted else _load(file, define, spec)
    from qecompile import proving  # with torch, which other commands do without

    if loaded is None:
        loaded, metanet, source = proving.find_spec(file, against)
        _keep_apart(certificate, Path(loaded.path))
        proof = proving.prover(loaded, metanet).prove_source(source, file.name)
    else:
        proof = pipeline.prove(loaded, metanet=metanet)
    _save_proof(proof, certificate)
    _show(report := ProveReport(proof, str(file), str(certificate)), as_json)
    if not report.ok:
        raise typer.Exit(FAILED)


def _save_proof(proof: Proof, certificate: Path) -> None:
    try:
        proof.save(certificate)
    except OSError as failure:
        reason = (failure.strerror or str(failure)).lower()
        raise SymError([Diagnostic("QE951", f"cannot write `{certificate}`: {reason}")]) from failure


@app.command()
def audit(
    file: File,
    define: Defines = None,
    spec: SpecName = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="CHECKPOINT", help="start from these weights of the network"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 3, help="the seed of all random numbers")] = 0,
    as_json: Json = False,
) -> None:
    """Compare the group with the symmetry of the `model` in FILE, which imports and runs it."""
    loaded = _load(file, define, spec)
    _show(report := AuditReport(loaded, pipeline.audit(loaded, checkpoint, seed=seed)), as_json)
    if not report.ok:
        raise typer.Exit(FAILED)


@app.command()
def infer(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:CALLABLE", help="an nn.Module, or what makes one when called")
    ],
    inputs: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="DRAWN", help="its inputs, as in 'normal(8, 784)'; tried if not given"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT.sym", help="the file to write")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a spec of the symmetry of a torch module, which is imported and run."""
    from qecompile.inference.inputs import infer_target  # with torch, which other commands do without

    text = infer_target(target, inputs)
    if output is not None:
        _save(text, output)
    if as_json:
        _print(
            json.dumps({"model": target, "output": str(output) if output else None, "text": text}, indent=2)
        )
    elif output is None:
        _print(text.removesuffix("\n"))


@app.command()
def fmt(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="the .sym files")],
    check: Annotated[
        bool, typer.Option("--check", help="write nothing; exit 1 if a file would change")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="write nothing; print what would change")] = False,
    stdout: Annotated[bool, typer.Option("--stdout", help="write nothing; print the files laid out")] = False,
    as_json: Json = False,
) -> None:
    """Lay out each FILE in the one canonical way; what it says stays the same."""
    collector = Collector()
    report = FormatReport(tuple(_format_each(files, collector)), check, diff, stdout)
    for file in report.files if report.writes else ():
        if file.changed:
            _save(file.after, Path(file.path))
    if report.text and not as_json:
        _print(report.text.removesuffix("\n"))
    elif report.files and not (as_json and collector.found):
        _show(report, as_json)
    collector.finish()
    if not report.ok:
        raise typer.Exit(FAILED)


def _format_each(files: Iterable[Path], collector: Collector) -> Iterator[Formatted]:
    """The files that can be formatted; the mistakes in the others are recorded."""
    for file in files:
        with collector.attempt():
            yield format_file(file)


@app.command()
def act(
    file: File,
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="the checkpoint to read")],
    output: Output,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="draw the element from this seed; 0 by default")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="bound on the logarithms of random scales; 1 by default")
    ] = None,
    element: Annotated[
        Path | None, typer.Option("--element", metavar="ELEMENT", help="the element to apply")
    ] = None,
    save_element: SaveElement = None,
    force: Force = False,
    define: Defines = None,
    spec: SpecName = None,
    as_json: Json = False,
) -> None:
    """Apply a group element to CHECKPOINT: the same network, with other numbers."""
    if element is not None and (seed is not None or scale is not None):
        raise typer.BadParameter("--element leaves no choice to --seed and --scale")
    if scale is not None and not 0 <= scale < math.inf:
        raise typer.BadParameter("--scale is a finite number that is not negative")
    _keep_apart(output, element)
    loaded = _load(file, define, spec)
    check_form(checkpoint)
    from qecompile.checkpoints import acting, elements  # with torch, which other commands do without

    if save_element is not None:
        _keep_apart(save_element, checkpoint, output, element)
        elements.check_element_target(save_element, force)
    if element is None:
        g = acting.sample_element(loaded, seed or 0, 1.0 if scale is None else scale)
    else:
        g = elements.load_element(loaded, element)
    acted = acting.act_checkpoint(loaded, checkpoint, output, g, overwrite=force)
    if save_element is not None:
        elements.save_element(loaded, g, save_element, overwrite=force)
    chosen = f"a random element (seed {seed or 0})" if element is None else f"the element in `{element}`"
    _show(ActReport(loaded.name, str(checkpoint), str(output), chosen, acted.changed, acted.kept), as_json)


def _keep_apart(written: Path, *others: Path | None) -> None:
    """Refuse to write a file that the same command reads or writes for another purpose."""
    for other in others:
        if other is not None and os.path.realpath(written) == os.path.realpath(other):
            message = f"{quote(str(written))} stands for two files"
            raise SymError([Diagnostic("QE951", message, help="choose another name")])


@app.command("match")
def match_weights(
    file: File,
    a: Annotated[Path, typer.Argument(metavar="A", help="the checkpoint that stays as it is")],
    b: Annotated[Path, typer.Argument(metavar="B", help="the checkpoint to bring close to it")],
    output: Output,
    restarts: Annotated[int, typer.Option(min=0, help="random beginnings to try, too")] = 0,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="of what is drawn")] = 0,
    save_element: SaveElement = None,
    force: Force = False,
    define: Defines = None,
    spec: SpecName = None,
    as_json: Json = False,
) -> None:
    """Bring B close to A: the same network as B, its neurons in the order and at the scale of those of A."""
    _keep_apart(output, a, save_element)
    loaded = _load(file, define, spec)
    for checkpoint in (a, b):
        check_form(checkpoint)
    from qecompile.checkpoints import aligning, elements  # with torch, which other commands do without

    if save_element is not None:
        _keep_apart(save_element, a, b)
        elements.check_element_target(save_element, force)
    done = aligning.align_checkpoints(loaded, a, b, output, restarts=restarts, seed=seed, overwrite=force)
    found = done.alignment
    if save_element is not None:
        elements.save_element(loaded, found.element, save_element, overwrite=force)
    _show(MatchReport(loaded.name, str(a), str(b), str(output), found.before, found.after), as_json)


@app.command()
def bench(
    file: File,
    batch: Annotated[int, typer.Option(min=1, help="how many networks at a time")] = 8,
    channels: Annotated[
        tuple[int, int], typer.Option(min=1, metavar="IN OUT", help="channels of the layer")
    ] = (16, 16),
    rounds: Annotated[int, typer.Option(min=1, help="how often each run is timed")] = 12,
    define: Defines = None,
    spec: SpecName = None,
    metanet: Annotated[
        str | None, typer.Option(metavar="NAME", help="whose layer to time, if there are several `metanet`")
    ] = None,
    as_json: Json = False,
) -> None:
    """Time the layer of FILE on one thread, against a copy and a matrix product."""
    loaded = _load(file, define, spec)
    pipeline.plan_layer(loaded, metanet)  # what is refused is refused here, with its place
    from qecompile import benchmark  # with torch, which other commands do without

    benchmark.require_memory(loaded, Sizes(batch, *channels))
    figures = benchmark.measure_apart(
        {
            "file": str(file),
            "spec": spec,
            "metanet": metanet,
            "arguments": resolve.parse_arguments(define or []),
            "batch": batch,
            "channels": channels,
            "rounds": rounds,
        }
    )
    _show(BenchReport(figures), as_json)


def _announce(name: str, purpose: str) -> None:
    """Add a command that only says that it is not built yet, whatever its arguments."""

    @app.command(
        name,
        help=f"Not built yet: {purpose}.",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def refuse() -> None:
        message = f"`{name}` is not built yet in this version"
        raise SymError([Diagnostic("QE952", message, help=f"this version has {BUILT}")])


for _name, _purpose in LATER.items():
    _announce(_name, _purpose)


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    """Compile a symmetry spec (.sym) to a complete equivariant network over weights."""
    if version:
        _print(f"qecompile {__version__}")
    elif context.invoked_subcommand is None:
        _print(context.get_help())
        raise typer.Exit(BAD_INPUT)


def _load(file: Path, define: list[str] | None, spec: str | None) -> Spec:
    loaded = resolve.load(file, spec, resolve.parse_arguments(define or []))
    if loaded.warnings:
        tell(_rendered(loaded.warnings))
    return loaded


def _write(source: str, output: Path, file: Path) -> None:
    with suppress(OSError, ValueError):  # nothing is there, or nothing can be: `_save` tells
        if output.samefile(file):
            message = f"`{output}` is the spec itself"
            raise SymError([Diagnostic("QE951", message, help="choose another name")])
    _save(source, output)


def _save(source: str, output: Path) -> None:
    try:
        write_source(source, output)
    except (OSError, ValueError) as failure:  # ValueError: a NUL byte in the name
        reason = (getattr(failure, "strerror", None) or str(failure)).lower()
        raise SymError([Diagnostic("QE951", f"cannot write `{output}`: {reason}")]) from failure


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        _print(json.dumps(report.to_json(), indent=2))
    else:
        _print(_laid_out(report.blocks()))


def _laid_out(blocks: Iterable[Block]) -> str:
    return render(blocks, shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None)


def _print(text: str) -> None:
    print_text(text, sys.stdout)


def _rendered(diagnostics: Sequence[Diagnostic]) -> str:
    """Diagnostics for standard error, in colour if that is a terminal and NO_COLOR is not set."""
    colour = is_terminal(sys.stderr) and not os.environ.get("NO_COLOR")
    return "\n\n".join(d.render(colour=colour) for d in diagnostics)


def _refuse(diagnostics: Sequence[Diagnostic], words: Sequence[str]) -> int:
    """Tell what is wrong: as data on standard output if JSON was asked for, else on standard error."""
    if "--json" in words:
        with suppress(ReaderGoneError, UnwritableError):
            _print(json.dumps({"ok": False, "diagnostics": [d.to_json() for d in diagnostics]}, indent=2))
    else:
        tell(_rendered(diagnostics))
    return BAD_INPUT


def _bad_command_line(mistake: Exception) -> Diagnostic:
    words = getattr(mistake, "format_message", mistake.__str__)()
    words = re.sub(r"\S{161,}", lambda long: f"{long[0][:80]}...{long[0][-77:]}", words)
    message = words[:1].lower() + words[1:].rstrip(".")
    return Diagnostic("QE950", message, help="`qecompile --help` lists the commands and their options")
