"""Cases for the rule table: small programs, and the type or the refusal that a rule should give.

A case reads as a line of a table: the rule, the parameters that the program is given (a number after a name
is that of its channels), the program, and what should come out. Every type is checked in numbers too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from tape import Tape

import qecompile as qe
from qecompile.verify.graph import Ref

SPEC = qe.parse("""
spec zoo {
  space x    = 4 : fixed
  space h    = 3 : permute * scale
  space k    = 5 : permute
  space g    = 5 : permute
  space s    = 3 : permute * sign
  space l    = 3 : linear
  space r    = 3 : rotate
  space o    = 2 : orthogonal
  space head = 2 : permute { space q = 5 : linear  space m = 4 : permute }
  space f    = 4 : scale

  param W : h <- x
  param b : h
  param V : x <- h
  param K : k k
  param L : g <- k
  param c : k
  param d : g
  param S : s x
  param t : s
  param A : l <- x
  param B : x <- l
  param E : l <- l
  param R : r r
  param v : r
  param u : o
  param Q : head q <- k
  param P : head q* <- k
  param M : head m
  param F : f x
  param y : x
}
""")


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    rule: str
    given: str
    program: Callable[..., Ref]
    expected: str

    def __str__(self) -> str:
        return f"{self.rule}-{self.given}-{self.expected[:40]}".replace(" ", "_")


def run(case: Case) -> tuple[Tape, Ref]:
    """The program on a fresh tape."""
    tape = Tape(SPEC, batch=6)
    words, inputs = case.given.split(), []
    for k, word in enumerate(words):
        if not word.isdigit():
            channels = [int(n) for n in words[k + 1 : k + 2] if n.isdigit()]
            inputs.append(tape.input(word, *channels))
    return tape, case.program(tape, *inputs)


def check_typed(case: Case) -> None:
    """The last value has the expected type, by the rule, and obeys it."""
    tape, ref = run(case)
    found = tape.infer(ref)
    assert (ref.name,) in found.outputs, found.refusal
    t = found.outputs[ref.name,]
    assert str(t) == case.expected
    assert tape.wrong(t, ref.name) == ""
    assert case.rule in [step.rule for step in found.steps]


def check_refused(case: Case) -> None:
    """The rule refuses, with the reason, and names the operation and the types that it met."""
    tape, ref = run(case)
    refusal = tape.infer(ref).refusal
    assert refusal is not None
    assert refusal.rule == case.rule
    assert case.expected in refusal.reason
    assert refusal.name in [op.name for op in tape.ops]
    assert all(": " in operand for operand in refusal.operands)


def eye(t: Tape, n: int) -> Ref:
    return t.constant(torch.eye(n, dtype=torch.float64))


def places(t: Tape, *numbers: int) -> Ref:
    return t.constant(torch.tensor(numbers))
