"""What a type rule raises when it cannot give a result a type."""

from __future__ import annotations


class Refused(Exception):
    """A rule does not apply: why, and what to do about it."""

    def __init__(self, reason: str, help: str = "") -> None:
        self.reason, self.help = reason, help
        super().__init__(reason)


FAILURES = (Refused, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # of a rule
