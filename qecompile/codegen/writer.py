"""Lines with indentation, and the labels that emitted comments and einsum equations use."""

from __future__ import annotations

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

    def line(self, text: str = "") -> None:
        """Add one line at the current indentation."""
        self._lines.append("    " * self._depth + text if text else "")

    def lines(self, texts: Iterable[str]) -> None:
        """Add several lines."""
        for text in texts:
            self.line(text)

    def block(self, text: str) -> None:
        """Add a ready piece of source, as it stands, between two blank lines."""
        self._lines += ["", "", *text.strip("\n").split("\n")]

    @contextmanager
    def indent(self) -> Iterator[None]:
        """Indent what is added inside."""
        self._depth += 1
        yield
        self._depth -= 1

    def call(self, head: str, items: Sequence[str], tail: str, comment: str = "") -> None:
        """`head` items `tail` on one line if it fits, else one item a line."""
        one = f"{head}{', '.join(items)}{tail}"
        remark = f"  # {comment}" if comment else ""
        if len(one) + 4 * self._depth <= WIDTH:
            self.line(one + remark)
            return
        self.line(head + remark)
        with self.indent():
            for item in items:
                self.line(f"{item},")
        self.line(tail)

    def text(self) -> str:
        """The source so far, ending in a newline."""
        return "\n".join(self._lines).strip("\n") + "\n"


class Variables:
    """The Python variable of every parameter and the short name of every space of a spec."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        names = Names(("x", "y", "n", "c", "self", "torch", "nn", "F", "Tensor", "math", "theta"))
        self.of = {p.name: names.fresh(p.name) for p in spec.parameters}
        shorts = Names()
        self.short = {s.name: shorts.fresh(s.name) for s in spec.spaces}

    def shape(self, param: Param, channels: str = "C") -> str:
        """The comment that names the axes of a feature tensor, as in `[B, a1, a0, C]`."""
        return f"[{', '.join(['B', *(self.short[a.space] for a in param.axes), channels])}]"


def safe(name: str) -> str:
    """A name for use inside a longer identifier."""
    return identifier(name).strip("_")


def times_c(count: int, channels: str) -> str:
    """A multiple of the channels in a comment: `C`, `4 C`."""
    return channels if count == 1 else f"{count} {channels}"
