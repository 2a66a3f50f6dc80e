"""Draw mutants of every variant, decide which of them count, and have each of those judged.

For every variant and operator the candidates are shuffled by a seed of their names, taken in turn from the
functions of the module, and tried until `wanted` of them change the function. So a run depends on the
code alone, not on time or on the number of processes.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

from . import law
from .effect import Crashed, Reference, changed_parts
from .judge import Verdict, judge, refusal_of
from .operators import OPERATORS, Operator
from .rewrites import REWRITES
from .shapes import Module
from .source import Change, distinct
from .variants import VARIANTS, Variant

T = TypeVar("T")
R = TypeVar("R")
TRIES = 6  # candidates for every mutant that is wanted


@dataclass(frozen=True)
class Mutant:
    """One mutant of a variant: what was changed, what that does, and what was said about it.

    Attributes:
        variant: its name.
        operator: its name.
        change: where and what, on one line.
        status: `crashed`, `equivalent`, or `counted` where the function differs.
        changed: the parts of the module whose function differs.
        broken: those that no longer are equivariant or invariant, as measured.
        verdict: of a counted one.
    """

    variant: str
    operator: str
    change: str
    status: str
    changed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    verdict: Verdict = field(default_factory=Verdict)

    def __str__(self) -> str:
        return f"{self.variant}  [{self.operator}]  {self.change}"


@lru_cache(maxsize=4)
def original(variant: Variant) -> tuple[Module, Reference]:
    """The emitted module of a variant, and what it computes."""
    return Module(variant.source), Reference.of(variant.source)


def draw(variant: Variant, operator: Operator, wanted: int) -> Iterator[tuple[Mutant, str]]:
    """Mutants of one kind, with their text, until enough of them change the function."""
    module, reference = original(variant)
    chance = random.Random(f"{variant.name} {operator.name}")
    candidates = _in_turn(distinct(operator.propose(module)), chance)
    for change in candidates[: TRIES * wanted]:
        text = module.apply(change)
        found: dict[str, Any] = {"status": "equivalent"}
        try:
            if changed := changed_parts(text, reference):
                found = {"status": "counted", "changed": changed}
        except Crashed:
            found = {"status": "crashed"}
        if found["status"] == "counted":
            found["broken"] = law.broken_parts(variant, text, changed)
            wanted -= 1
        yield Mutant(variant.name, operator.name, str(change), **found), text
        if not wanted:
            return


def _in_turn(changes: Iterable[Change], chance: random.Random) -> list[Change]:
    """The changes shuffled, one from every function in turn."""
    by_scope: dict[str, list[Change]] = {}
    for change in changes:
        by_scope.setdefault(change.scope, []).append(change)
    groups = list(by_scope.values())
    chance.shuffle(groups)
    for group in groups:
        chance.shuffle(group)
    return [change for row in zip_longest(*groups) for change in row if change is not None]


def run(
    variants: Sequence[Variant] = VARIANTS,
    operators: Sequence[Operator] = tuple(OPERATORS),
    wanted: int = 1,
    every: int = 1,
    jobs: int = 1,
    report: Callable[[Mutant], None] = lambda mutant: None,
) -> list[Mutant]:
    """Draw and judge mutants of the variants, in their order.

    With `every`, only that part of the operators is tried on a variant: others on the next one.
    """
    chosen = [OPERATORS.index(o) for o in operators]
    places = [VARIANTS.index(v) for v in variants]
    tasks = [(v, tuple(o for o in chosen if (v + o) % every == 0), wanted) for v in places]
    found = []
    for mutants in _each(_work, tasks, jobs):
        for mutant in mutants:
            report(mutant)
        found += mutants
    return found


def check_rewrites(
    variants: Sequence[Variant] = VARIANTS,
    every: int = 1,
    jobs: int = 1,
    report: Callable[[str], None] = print,
) -> dict[str, tuple[int, int]]:
    """For every kind of rewrite, how many of the modules it was made in were accepted, and in how many."""
    tasks = [(VARIANTS.index(v), every) for v in variants]
    found = [(0, 0)] * len(REWRITES)
    for answers in _each(_rewrite, tasks, jobs):
        for i, answer in enumerate(answers):
            if answer is not None:
                found[i] = (found[i][0] + (not answer), found[i][1] + 1)
                if answer:
                    report(f"REFUSED  {answer}")
    return {r.name: n for r, n in zip(REWRITES, found, strict=True)}


def _rewrite(task: tuple[int, int]) -> list[str | None]:
    """For every rewrite: None if it was not made, nothing if it is accepted, else why it is not."""
    index, every = task
    torch.set_num_threads(1)
    variant, answers = VARIANTS[index], []
    module, reference = original(variant)
    for i, r in enumerate(REWRITES):
        text = r.apply(module) if r.name == "none" or (index + i) % every == 0 else None
        if text is None or (text == variant.source and r.name != "none"):
            answers.append(None)
            continue
        assert not changed_parts(text, reference), f"{variant.name}: `{r.name}` changes the function"
        refusal = refusal_of(variant, text)
        answers.append(f"{variant.name}  [{r.name}]  {refusal}" if refusal else "")
    return answers


def _each(work: Callable[[T], R], tasks: Sequence[T], jobs: int) -> Iterator[R]:
    """The results of all tasks in their order, from this process or from several."""
    if jobs == 1:
        yield from map(work, tasks)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        yield from pool.map(work, tasks)


def _work(task: tuple[int, tuple[int, ...], int]) -> list[Mutant]:
    index, operators, wanted = task
    torch.set_num_threads(1)
    variant, found = VARIANTS[index], []
    for number in operators:
        for mutant, text in draw(variant, OPERATORS[number], wanted):
            if mutant.status == "counted":
                verdict = judge(variant, text, mutant.changed, mutant.broken)
                mutant = Mutant(**{**vars(mutant), "verdict": verdict})
            found.append(mutant)
    return found
