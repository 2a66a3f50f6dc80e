"""Lines with indentation, and the labels that emitted comments and einsum equations use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from qecompile.identifiers import Names, identifier
from qecompile.spec import Param, Spec

LETTERS = "ijklmnopqrstuvwxyzadefgh"
WIDTH = 100


class Writer:
    """Collects lines of Python source."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self._helpers: set[str] = set()

    def line(self, text: str = "") -> None:
        """Add one line at the current indentation."""
        self._lines.append("    " * self._depth + text if text else "")

    def commented(self, text: str, comment: str) -> None:
        """Add one line with a comment behind it, or above where both do not fit."""
        if self.fits(f"{text}  # {comment}"):
            self.line(f"{text}  # {comment}")
        else:
            self.line(f"# {comment}")
            self.line(text)

    def lines(self, texts: Iterable[str]) -> None:
        """Add several lines."""
        for text in texts:
            self.line(text)

    def block(self, text: str) -> None:
        """Add a ready piece of source, as it stands, between two blank lines."""
        self._lines += ["", "", *text.strip("\n").split("\n")]

    def helper(self, text: str) -> None:
        """Add a ready piece of source, unless it is there already."""
        if text not in self._helpers:
            self._helpers.add(text)
            self.block(text)

    @contextmanager
    def indent(self) -> Iterator[None]:
        """Indent what is added inside."""
        self._depth += 1
        yield
        self._depth -= 1

    @contextmanager
    def init(self, *options: str) -> Iterator[None]:
        """A module's `__init__` with the options, a device and a dtype; indents what is added inside."""
        self.line()
        self.line("def __init__(")
        with self.indent():
            self.lines(["self,", *(f"{option}," for option in options)])
            self.line("device: torch.device | str | None = None,")
            self.line("dtype: torch.dtype | None = None,")
        self.line(") -> None:")
        with self.indent():
            self.line("super().__init__()")
            yield

    def call(self, head: str, items: Sequence[str], tail: str, comment: str = "") -> None:
        """`head` items `tail` on one line if it fits, else one item a line with the comment above."""
        one = f"{head}{', '.join(items)}{tail}"
        remark = f"  # {comment}" if comment else ""
        if self.fits(one + remark):
            self.line(one + remark)
            return
        if comment:
            self.line(f"# {comment}")
        self.line(head)
        with self.indent():
            self.lines(f"{item}," for item in items)
        self.line(tail)

    def tuple(self, head: str, items: Sequence[str], tail: str, comment: str = "") -> None:
        """As `call`, for a tuple: a single item keeps its comma."""
        if len(items) == 1 and self.fits(f"{head}{items[0]},{tail}"):
            self.line(f"{head}{items[0]},{tail}" + (f"  # {comment}" if comment else ""))
        else:
            self.call(head, items, tail, comment)

    def filled(self, head: str, items: Sequence[str], tail: str) -> None:
        """`head` items `tail` on one line if it fits, else with as many items on a line as fit."""
        if self.fits(f"{head}{', '.join(items)}{tail}"):
            self.line(f"{head}{', '.join(items)}{tail}")
            return
        self.line(head)
        with self.indent():
            row: list[str] = []
            for item in items:
                if row and not self.fits(", ".join([*row, item]) + ","):
                    self.line(", ".join(row) + ",")
                    row = []
                row.append(item)
            self.line(", ".join(row) + ",")
        self.line(tail)

    def fits(self, text: str) -> bool:
        """Whether a line at the current indentation stays within the width."""
        return 4 * self._depth + len(text) <= WIDTH

    def text(self) -> str:
        """The source so far, ending in a newline."""
        return "\n".join(self._lines).strip("\n") + "\n"


TAKEN = ("x", "n", "self", "torch", "Tensor", "SHAPES", "reduce_features")
OWN_FAMILIES = re.compile(r"_|(x|y|encode|decode|epsilon|ALLOWED)_|norm\d")


class Variables:
    """The Python variable of every parameter and the short name of every space of a spec.

    Emitted functions have local names of their own: `x_` and `y_` with a type, `norm1`, constants. A
    parameter that is called like one of those gets the prefix `p_`, which none of them has.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        names = Names(TAKEN)
        self.of = {p.name: names.fresh(_apart(identifier(p.name))) for p in spec.parameters}
        shorts = Names()
        self.short = {s.name: shorts.fresh(s.name) for s in spec.spaces}

    def shape(self, param: Param, channels: str = "C") -> str:
        """The comment that names the axes of a feature tensor, as in `[B, a1, a0, C]`."""
        return f"[{', '.join(['B', *(self.short[a.space] for a in param.axes), channels])}]"


def _apart(name: str) -> str:
    """The name, out of the way of what emitted functions call their own."""
    return f"p_{name}" if OWN_FAMILIES.match(name) or name in TAKEN else name


def times_c(count: int, channels: str) -> str:
    """A multiple of the channels in a comment: `C`, `4 C`."""
    return channels if count == 1 else f"{count} {channels}"
