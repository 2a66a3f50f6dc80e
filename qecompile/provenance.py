"""What an emitted file says of itself: spec, arguments, file and network in its header, where kernels begin.

Gives and takes one line of text, as in

    # Spec mlp(widths=[784, 128, 10], codes=16) from mlp.sym, metanet classifier.

so that whoever holds the emitted file and the `.sym` file can elaborate the spec again, with the values that
it had. Values are written as JSON; so is a file name that is not a plain word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from qecompile.spec import Spec

Value = int | list[int] | str

KERNELS = f"""

# {"-" * 99}
# Triton kernels. Nothing above needs what follows"""
PLAIN = re.compile(r"[\w.\-]+")
LINE = re.compile(r"# Spec (\w+)\((.*)\) from ([\w.\-]+|\"(?:[^\"\\]|\\.)*\")(?:, metanet (\w+))?\.")


@dataclass(frozen=True, slots=True)
class Provenance:
    """The name of a spec and of its file, its arguments, and the `metanet` block (None: the default)."""

    spec: str
    file: str
    arguments: Mapping[str, Value] = field(default_factory=dict)
    metanet: str | None = None

    @property
    def quoted_file(self) -> str:
        """The name of the file on one line: as it is, or in quotes."""
        return self.file if PLAIN.fullmatch(self.file) else json.dumps(self.file)

    def __str__(self) -> str:
        """The line of the header."""
        arguments = ", ".join(f"{name}={json.dumps(value)}" for name, value in self.arguments.items())
        network = "" if self.metanet is None else f", metanet {self.metanet}"
        return f"# Spec {self.spec}({arguments}) from {self.quoted_file}{network}."


def provenance(spec: Spec, metanet: str | None = None) -> Provenance:
    """What the header of a file emitted from `spec` says."""
    arguments = {n: list(v) if isinstance(v, tuple) else v for n, v in spec.arguments}
    declared = {net.name for net in spec.metanets}
    return Provenance(
        spec.name, PurePath(spec.path).name, arguments, metanet if metanet in declared else None
    )


def split_kernels(text: str) -> tuple[str, str]:
    """An emitted text without its Triton kernels, which is complete, and the kernels."""
    plain, start, kernels = text.partition(KERNELS)
    return plain, start + kernels


def parse_header(text: str) -> Provenance:
    """Read the line back from the text of an emitted file.

    Example:
        >>> line = "# Spec mlp(widths=[4, 2], codes=3) from mlp.sym, metanet classifier."
        >>> parse_header(line).arguments, parse_header(line).metanet
        ({'widths': [4, 2], 'codes': 3}, 'classifier')

    Raises:
        ValueError: no line of the header names a spec.
    """
    for line in text.splitlines():
        if not line.startswith("#"):
            break  # the header is over
        if found := LINE.fullmatch(line):
            name, arguments, file, metanet = found.groups()
            file = json.loads(file) if file.startswith('"') else file
            return Provenance(name, file, _read_arguments(arguments), metanet)
    raise ValueError("no line of the header names a spec, as in `# Spec mlp(widths=[4, 2]) from mlp.sym.`")


def _read_arguments(text: str) -> dict[str, Value]:
    """`name=value, name=value` with values in JSON."""
    decoder = json.JSONDecoder()
    found: dict[str, Value] = {}
    place = 0
    while place < len(text):
        name, _, _ = text[place:].partition("=")
        try:
            value, end = decoder.raw_decode(text, place + len(name) + 1)
        except ValueError:
            value, end = None, place
        if value is None or not name.isidentifier():
            raise ValueError(f"the header has no argument at `{text[place:]}`")
        found[name], place = value, end
        place += len(", ") if text.startswith(", ", place) else 0
    return found
