"""The text of a spec to its spaces and the axes of its parameters, by the page that defines the language.

Takes a `.sym` file, the name of a spec in it and its arguments; gives an `Elaborated`, or `BadInput`. The
grammar file is shared with the compiler, as data; what the words mean is written down here a second time. No
statement about the parameters is judged: `expect`, `feature` and `model` are passed over.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lark.exceptions import LarkError

from .spec import Axis, Elaborated, MetaNet, Space
from .values import BadInput, Evaluator, Node, Scope, Values, has_type

LARGEST_FILE = 1_000_000
DEEPEST = 40
CHARACTERS = ("scale", "sign", "dilate")


@dataclass
class File:
    """A parsed file: its specs, and with them those of the files that it uses, each with its own file."""

    specs: dict[str, Node]
    visible: dict[str, tuple[Node, File]]


@dataclass
class Frame:
    """One spec at work: itself, or included by another; `bindings` name spaces that stand for its own."""

    statements: Sequence[Node]
    file: File
    scope: Scope
    prefix: str = ""
    bindings: Mapping[str, str] = field(default_factory=dict)
    depth: int = 0
    includes: dict[str, Frame] = field(default_factory=dict)
    opened: dict[int, list[Frame]] = field(default_factory=dict)


def elaborate(path: Path, name: str, arguments: Mapping[str, Any], grammar: Path) -> Elaborated:
    """What the spec `name` of a file says; every argument must be one that the spec declares."""
    try:
        return Elaborator(path, grammar).run(name, arguments)
    except (LarkError, OSError, ValueError, RecursionError) as error:
        raise BadInput(f"the spec cannot be read: {type(error).__name__}: {str(error)[:300]}") from None


class Elaborator(Evaluator):
    """One reading of one spec."""

    def __init__(self, path: Path, grammar: Path) -> None:
        super().__init__(grammar)
        self.path = Path(os.path.realpath(path))
        self.files: dict[Path, File] = {}
        self.used: dict[str, str] = {}
        self.spaces: dict[str, Space] = {}
        self.params: dict[str, tuple[Axis, ...]] = {}

    def run(self, name: str, arguments: Mapping[str, Any]) -> Elaborated:
        """Elaborate one spec of the file."""
        file = self.read(self.path, ())
        if name not in file.specs:
            raise BadInput(f"the file declares no spec `{name}`")
        frame = self.open(file.specs[name], arguments, Frame([], file, {}))
        self.declare_params(frame)
        given = {n: frame.scope[n] for n in parameters_of(file.specs[name])}
        models = [s for s in frame.statements if s.data == "model"]
        model = self.text(models[0].children[0], frame.scope) if models else None
        return Elaborated(given, self.spaces, self.params, dict(self.metanets(frame)), self.used, model)

    # Files

    def read(self, path: Path, readers: tuple[Path, ...]) -> File:
        """A file and those that it uses; they lie in the directory of the first, or below it."""
        if not path.is_relative_to(self.path.parent) or path in readers or len(readers) > DEEPEST:
            raise BadInput(f"`use` leads to {path.name}, which lies outside or uses itself")
        if not path.is_file() or path.stat().st_size > LARGEST_FILE:
            raise BadInput(f"{path.name} is no file, or too large")
        if path not in self.files:
            data = path.read_bytes()
            if readers:
                self.used[path.relative_to(self.path.parent).as_posix()] = hashlib.sha256(data).hexdigest()
            text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
            self.files[path] = self.parse(text, path, (*readers, path))
        return self.files[path]

    def parse(self, text: str, path: Path, readers: tuple[Path, ...]) -> File:
        """The specs of a text, and those of the files it uses, though not of those that they use."""
        statements: list[Node] = self.parser.parse(text, start="file").children
        specs = [(str(t.children[0]), t) for t in statements if t.data == "spec"]
        file = File(dict(specs), {})
        file.visible |= {name: (spec, file) for name, spec in specs}
        for use in (t for t in statements if t.data == "use"):
            other = self.read(Path(os.path.realpath(path.parent / self.text(use.children[0], {}))), readers)
            for name, spec in other.specs.items():
                if file.visible.setdefault(name, (spec, other))[1] is not other:
                    raise BadInput(f"spec `{name}` is declared in two files")
        if len(specs) != len(file.specs):
            raise BadInput(f"{path.name} declares a spec twice")
        return file

    # Frames

    def open(self, spec: Node, arguments: Mapping[str, Any], frame: Frame) -> Frame:
        """Fill a frame with a spec's values, its spaces, and the frames of all that it includes."""
        frame.statements = [s for s in spec.children[2:] if s is not None]
        frame.scope = values = Values(self)
        declared = parameters_of(spec)
        if arguments.keys() - declared.keys() or frame.depth > DEEPEST:
            raise BadInput(f"spec `{spec.children[0]}` has no parameter of a name given, or includes itself")
        for name, (kind, default) in declared.items():
            if name not in arguments and default is None:
                raise BadInput(f"the argument `{name}` has no value")
            values[name] = arguments[name] if name in arguments else self.evaluate(default, values)
            if not has_type(values[name], kind):
                raise BadInput(f"the argument `{name}` is no {kind}")
        values.lets = {str(s.children[0]): s.children[1] for s in frame.statements if s.data == "let"}
        for statement in frame.statements:
            if statement.data == "space":
                self.declare_space(frame, statement, values, None)
        for statement in frame.statements:
            if statement.data == "include":
                frame.opened[id(statement)] = list(self.include(frame, statement))
        return frame

    def include(self, frame: Frame, statement: Node) -> Iterator[Frame]:
        """The frames that one `include` opens, one for each turn of its loops."""
        name, given, segment, loops, bound = statement.children
        if str(name) not in frame.file.visible:
            raise BadInput(f"there is no spec `{name}` to include")
        spec, file = frame.file.visible[str(name)]
        for turn in self.turns(loops.children, frame.scope):
            local = self.instance(segment, turn)
            if local in frame.includes:
                raise BadInput(f"`{local}` is included twice")
            arguments = {str(a.children[0]): self.evaluate(a.children[1], turn) for a in given.children if a}
            bindings = {
                self.instance(b.children[0], turn): self.space(frame, b.children[1], turn).name
                for b in (bound.children if bound else ())
            }
            inner = Frame([], file, {}, f"{frame.prefix}{local}.", bindings, frame.depth + 1)
            frame.includes[local] = self.open(spec, arguments, inner)
            yield inner

    def space(self, frame: Frame, reference: Node, scope: Scope) -> Space:
        """The space that a reference means: through includes, to the one bound or declared there."""
        *outer, last = (self.instance(s, scope) for s in reference.children)
        for name in outer:
            if name not in frame.includes:
                raise BadInput(f"nothing is included as `{name}`")
            frame = frame.includes[name]
        full = frame.bindings.get(last, frame.prefix + last)
        if full not in self.spaces:
            raise BadInput(f"there is no space `{full}`")
        return self.spaces[full]

    # Declarations

    def declare_space(self, frame: Frame, statement: Node, scope: Scope, parent: Space | None) -> None:
        """Every instance of a `space` statement, each with what is nested in it."""
        segment, loops, size, group, nested = statement.children
        for turn in self.turns(loops.children, scope):
            local = self.instance(segment, turn)
            owner = parent.name if parent else None
            space = Space(frame.prefix + local, self.integer(size, turn), *read_group(group), owner)
            if space.size < 1 or (parent and parent.is_vector):
                raise BadInput(f"space `{space.name}` has no size, or is nested in a vector space")
            if local in frame.bindings:
                outer = self.spaces[frame.bindings[local]]
                if {**asdict(outer), "name": "", "parent": None} != {**asdict(space), "name": ""} or (
                    nested and nested.children
                ):
                    raise BadInput(f"space `{outer.name}` cannot stand for `{local}`")
                continue
            if space.name in self.spaces:
                raise BadInput(f"space `{space.name}` is declared twice")
            self.spaces[space.name] = space
            for inner in nested.children if nested else ():
                self.declare_space(frame, inner, turn, space)

    def declare_params(self, frame: Frame) -> None:
        """The parameters of a frame and of what it includes, in the order of the statements."""
        for statement in frame.statements:
            for inner in frame.opened.get(id(statement), ()):
                self.declare_params(inner)
            if statement.data == "param":
                segment, loops, written, _ = statement.children
                for turn in self.turns(loops.children, frame.scope):
                    name = frame.prefix + self.instance(segment, turn)
                    if name in self.params:
                        raise BadInput(f"parameter `{name}` is declared twice")
                    self.params[name] = tuple(self.read_type(frame, written, turn))

    def read_type(self, frame: Frame, written: Node, scope: Scope) -> Iterator[Axis]:
        """The axes of a type; those behind `<-` are made dual once more."""
        sides = (
            [written.children] if written.data == "listed" else [t.children for t in written.children if t]
        )
        nodes = [(axis, side > 0) for side, axes in enumerate(sides) for axis in axes if axis is not None]
        spaces = [self.space(frame, axis.children[0], scope) for axis, _ in nodes]
        for k, ((axis, incoming), space) in enumerate(zip(nodes, spaces, strict=True)):
            marks = [m for m in axis.children[1:] if m.data != "dual"]
            duals = len(axis.children) - 1 - len(marks)
            if duals > 1 or len(marks) > 1:
                raise BadInput(f"an axis of `{space.name}` has a mark twice")
            dual = (duals == 1) != incoming
            charges = self.charges(marks[0], space, scope) if marks else (1,) * len(space.characters)
            owners = [n for n, s in enumerate(spaces) if s.name == space.parent]
            if space.parent and not owners:
                raise BadInput(f"an axis of `{space.name}` needs an axis of `{space.parent}`")
            parent = max((n for n in owners if n < k), default=min(owners, default=None))
            yield Axis(
                space=space.name,
                dual=dual and space.vector == "linear",
                charges=tuple(-c for c in charges) if dual else charges,
                parent=parent,
            )

    def charges(self, mark: Node, space: Space, scope: Scope) -> tuple[int, ...]:
        """One number for every character: the same one, or each by its name and 0 for the others."""
        if mark.data != "charges":
            last = mark.children[-1]
            number = self.integer(last, scope) if mark.data == "computed_charge" else int(last)
            if space.vector and not space.characters:
                raise BadInput(f"an axis of `{space.name}` has no charge")
            return (-number if mark.data == "negative_charge" else number,) * len(space.characters)
        named = [(str(c.children[0]), self.integer(c.children[1], scope)) for c in mark.children if c]
        given, known = dict(named), [name for name, _ in space.characters]
        if len(given) != len(named) or given.keys() - set(known):
            raise BadInput(f"an axis of `{space.name}` has charges of characters that are not there")
        return tuple(given.get(name, 0) for name in known)

    def metanets(self, frame: Frame) -> Iterator[tuple[str, MetaNet]]:
        """The `metanet` blocks of a spec, by name."""
        for statement in frame.statements:
            if statement.data != "metanet":
                continue
            found: dict[str, Any] = {"mixes": {}}
            for entry in statement.children[1:]:
                match entry.data:
                    case "channels":
                        found["channels"] = tuple(self.integer(c, frame.scope) for c in entry.children[1:])
                    case "invariant":
                        found["outputs"] = self.integer(entry.children[1], frame.scope)
                    case "alpha" if entry.children[1] != "none":
                        found["alpha"] = str(entry.children[1])
                    case "context":
                        found["context"] = self.integer(entry.children[1], frame.scope)
                    case "mix":
                        found["mixes"] |= self.mixes(frame, entry)
            yield str(statement.children[0]), MetaNet(**found)

    def mixes(self, frame: Frame, entry: Node) -> dict[str, tuple[str, int]]:
        """How spaces are mixed; `full` has the rank 0."""
        _, space, mode, loops = entry.children
        return {
            self.space(frame, space, turn).name: (
                str(mode.children[0]),
                self.integer(mode.children[1], turn) if mode.data == "coding" else 0,
            )
            for turn in self.turns(loops.children, frame.scope)
        }


def parameters_of(spec: Node) -> dict[str, tuple[str, Any]]:
    """The parameters of a spec: type and default."""
    listed = [p.children for p in (spec.children[1].children if spec.children[1] else ()) if p]
    return {str(name): (str(kind), default) for name, kind, default in listed}


def read_group(group: Node) -> tuple[bool, str | None, tuple[tuple[str, str], ...]]:
    """Whether a group permutes, its matrix word and its characters."""
    words = [(str(w.children[0]), w.children[1]) for w in group.children]
    kinds = [word for word, _ in words]
    matrices = [word for word in kinds if word in ("linear", "orthogonal", "rotate")]
    characters = tuple((str(name or word), word) for word, name in words if word in CHARACTERS)
    index = [word for word in kinds if word in ("permute", "scale", "sign")]
    plain = [word for word in kinds if word in ("permute", "fixed")]
    if (
        len(matrices) + len(plain) + len(characters) != len(words)
        or len(matrices) + len(plain) > 1
        or ("fixed" in kinds and len(kinds) > 1)
        or (index and len(index) < len(kinds))
        or ("linear" in matrices and characters)
        or len({name for name, _ in characters}) < len(characters)
        or any(name and word not in CHARACTERS for word, name in words)
    ):
        raise BadInput(f"`{' * '.join(kinds)}` is no group")
    return "permute" in kinds, matrices[0] if matrices else None, characters
