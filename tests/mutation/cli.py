"""The command: draw mutants, judge them, print or write the table."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from .campaign import Mutant, check_rewrites, run
from .operators import OPERATORS
from .table import markdown
from .variants import VARIANTS


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; 0 if every counted mutant was refused and every rewrite accepted."""
    parser = argparse.ArgumentParser(prog="python tests/mutation", description=__doc__)
    parser.add_argument("--spec", action="append", default=[], help="only this spec, or `spec/equal`")
    parser.add_argument("--operator", action="append", default=[], help="only this operator")
    parser.add_argument("--wanted", type=int, default=1, help="counted mutants per operator and variant")
    parser.add_argument(
        "--every",
        type=int,
        default=1,
        help="try a part of the operators and rewrites on a variant, others on the next",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--write", type=Path, help="write the table to this file")
    parser.add_argument("--no-rewrites", action="store_true", help="mutants only")
    parser.add_argument("--list", action="store_true", help="list operators and variants, and stop")
    options = parser.parse_args(arguments)
    variants = [v for v in VARIANTS if not options.spec or {v.name, v.spec_name} & {*options.spec}]
    operators = [o for o in OPERATORS if not options.operator or o.name in options.operator]
    if options.list:
        print("\n".join([*(f"{o.name}: {o.mistake}" for o in operators), *(v.name for v in variants)]))
        return 0
    mutants = run(variants, operators, options.wanted, options.every, options.jobs, _report)
    rewrites = {} if options.no_rewrites else check_rewrites(variants, options.every, options.jobs, _say)
    command = shlex.join(["python", "tests/mutation", *(sys.argv[1:] if arguments is None else arguments)])
    page = markdown(mutants, rewrites, command)
    if options.write:
        options.write.write_text(page, encoding="utf-8")
    else:
        print(page)
    survived = any(m.status == "counted" and not m.verdict.refused for m in mutants)
    return int(survived or any(accepted < tried for accepted, tried in rewrites.values()))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _report(mutant: Mutant) -> None:
    """Say at once what survives, and what breaks the law without being seen by the types."""
    if mutant.verdict.fault:
        _say(f"FAULT     {mutant}: {mutant.verdict.fault}")
    elif mutant.status == "counted" and not mutant.verdict.refused:
        _say(f"SURVIVED  {mutant}")
    elif mutant.broken and mutant.verdict.types is None:
        _say(f"UNTYPED   {mutant}: {mutant.verdict.obligation}")
