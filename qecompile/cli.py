"""The command `qecompile`: arguments in, text or JSON out, and an exit code.

0: done; 1: a check failed; 2: bad input, told as diagnostics. Whatever the user got wrong, including the
command line and the files it names, ends here as a `Diagnostic`; only a mistake of the compiler shows a
traceback.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, TextIO

import typer

from qecompile import __version__, pipeline, resolve
from qecompile.errors import Collector, Diagnostic, IRError, SymError
from qecompile.format_report import FormatReport
from qecompile.formatter import Formatted, format_file
from qecompile.loading import write_source
from qecompile.report import BuildReport, CheckReport, DeriveReport, Report, class_names
from qecompile.spec import Spec
from qecompile.tables import Block, render

DONE, FAILED, BAD_INPUT = 0, 1, 2
OUR_FAULT, INTERRUPTED, NO_READER = 70, 130, 141

BUILT = "`check`, `derive`, `build` and `fmt`"
LATER = {
    "alpha": "valid alpha-maps and whether they are live",
    "prove": "prove completeness and equivariance",
    "audit": "compare the group with the network's real symmetry",
    "infer": "write a spec from a torch module",
    "explain": "draw the spec as an HTML page",
    "act": "apply a group element to a checkpoint",
    "bench": "time the emitted layer",
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
    except IRError:
        traceback.print_exc()
        print("this is a mistake in qecompile, not in your input: please report it", file=sys.stderr)
        return OUR_FAULT
    except ReaderGoneError:
        return NO_READER
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED


class ReaderGoneError(Exception):
    """Who read our output stopped, as in `qecompile derive FILE | head`."""


@app.command()
def check(file: File, define: Defines = None, spec: SpecName = None, as_json: Json = False) -> None:
    """Parse and elaborate FILE and test every `expect`."""
    loaded = _load(file, define, spec)
    _show(report := CheckReport(loaded, pipeline.check(loaded)), as_json)
    if not report.ok:
        raise typer.Exit(FAILED)


@app.command()
def derive(file: File, define: Defines = None, spec: SpecName = None, as_json: Json = False) -> None:
    """Print the basis: how many equivariant linear maps join each two parameters."""
    loaded = _load(file, define, spec)
    _show(DeriveReport(loaded, pipeline.derive(loaded)), as_json)


@app.command()
def build(
    file: File,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.py", help="the file to write")],
    define: Defines = None,
    spec: SpecName = None,
    as_json: Json = False,
) -> None:
    """Write the layers and networks of FILE as one Python file."""
    loaded = _load(file, define, spec)
    source = pipeline.generate(loaded)
    report = BuildReport(loaded, str(output), class_names(source), pipeline.count_parameters(loaded))
    if not as_json:
        _show(report, as_json)  # before writing: a count may be a reason to stop
    _write(source, output, file)
    if as_json:
        _show(report, as_json)


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
        with suppress(ReaderGoneError):
            _print("\n\n".join(d.render() for d in loaded.warnings), sys.stderr)
    return loaded


def _write(source: str, output: Path, file: Path) -> None:
    if output.exists() and output.samefile(file):
        raise SymError([Diagnostic("QE951", f"`{output}` is the spec itself", help="choose another name")])
    _save(source, output)


def _save(source: str, output: Path) -> None:
    try:
        write_source(source, output)
    except OSError as failure:
        reason = (failure.strerror or str(failure)).lower()
        raise SymError([Diagnostic("QE951", f"cannot write `{output}`: {reason}")]) from failure


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        _print(json.dumps(report.to_json(), indent=2))
    else:
        _print(_laid_out(report.blocks()))


def _laid_out(blocks: Iterable[Block]) -> str:
    return render(blocks, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)


def _print(text: str, stream: TextIO | None = None) -> None:
    """Print to `stream`, by default standard output, and see it arrive."""
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # the flush at exit must not fail too
        raise ReaderGoneError from None


def _refuse(diagnostics: Sequence[Diagnostic], words: Sequence[str]) -> int:
    """Tell what is wrong: as data on standard output if JSON was asked for, else on standard error."""
    with suppress(ReaderGoneError):
        if "--json" in words:
            _print(json.dumps({"ok": False, "diagnostics": [d.to_json() for d in diagnostics]}, indent=2))
        else:
            _print("\n\n".join(d.render() for d in diagnostics), sys.stderr)
    return BAD_INPUT


def _bad_command_line(mistake: Exception) -> Diagnostic:
    words = getattr(mistake, "format_message", mistake.__str__)()
    message = words[:1].lower() + words[1:].rstrip(".")
    return Diagnostic("QE950", message, help="`qecompile --help` lists the commands and their options")
