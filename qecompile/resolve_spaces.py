"""`space` statements: group words, sizes and nesting.

Takes the statements of a frame, fills its table of spaces. What the words mean is in section 1 of the
theory; here is which of them can stand together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from qecompile import tree
from qecompile.declarations import Frame, instance_name
from qecompile.errors import Collector, Note, SymError, fail, suggest
from qecompile.expressions import Scope, integer, turns
from qecompile.spec import Character, CharacterWord, Space, VectorWord
from qecompile.syntax_errors import textbook_group

INDEX_WORDS = ("permute", "scale", "sign")
MATRIX_WORDS: tuple[str, ...] = get_args(VectorWord)
CHARACTER_WORDS: tuple[str, ...] = get_args(CharacterWord)
VECTOR_WORDS = (*MATRIX_WORDS, "dilate")
WORDS = ("fixed", *INDEX_WORDS, *VECTOR_WORDS)


@dataclass(frozen=True, slots=True)
class GroupOf:
    """What a group word sequence says about a space."""

    permuted: bool
    vector: VectorWord | None
    characters: tuple[Character, ...]

    @property
    def is_vector(self) -> bool:
        """Whether the group acts on the whole axis."""
        return self.vector is not None or any(c.word == "dilate" for c in self.characters)


def declare_spaces(frame: Frame) -> None:
    """Declare the spaces of a spec, without those that it includes."""
    for statement in frame.spec.statements:
        if isinstance(statement, tree.SpaceStatement):
            with frame.tables.collector.attempt():
                _declare(frame, statement, frame.scope, None)


def _declare(frame: Frame, statement: tree.SpaceStatement, scope: Scope, parent: Space | None) -> None:
    """Declare every instance of a statement, and what is nested in it."""
    table = frame.tables.spaces
    family = table.open(frame.family(statement.segment), statement.segment.span)
    try:
        group = read_group(statement.group)
        if group.is_vector and statement.nested:
            _fail_nesting(statement)
        for turn in turns(statement.loops, scope, statement.segment.span):
            space = _declare_one(frame, statement, turn, group, parent)
            for nested in statement.nested:
                _declare(frame, nested, turn, space)
    except SymError as mistakes:
        family.broken = True
        _mark_nested(frame, statement)
        frame.tables.collector.absorb(mistakes)


def _mark_nested(frame: Frame, statement: tree.SpaceStatement) -> None:
    """Spaces nested in one that failed are not declared; references to them need no message."""
    for nested in statement.nested:
        frame.tables.spaces.open(frame.family(nested.segment), nested.segment.span).broken = True
        _mark_nested(frame, nested)


def _declare_one(
    frame: Frame, statement: tree.SpaceStatement, scope: Scope, group: GroupOf, parent: Space | None
) -> Space:
    table = frame.tables.spaces
    local = instance_name(statement.segment, scope)
    size = integer(statement.size, scope, "a number as size")
    if size < 1:
        fail(
            "QE048",
            f"the size of space `{local}` is {size}",
            statement.size.span,
            help="a size is at least 1",
        )
    space = Space(
        name=frame.prefix + local,
        size=size,
        permuted=group.permuted,
        vector=group.vector,
        characters=group.characters,
        parent=parent.name if parent else None,
    )
    if local in frame.bindings:
        return _bound(frame, local, space, statement)
    table.claim(space.name, frame.family(statement.segment), statement.segment)
    table.entries[space.name] = space
    return space


def _bound(frame: Frame, local: str, space: Space, statement: tree.SpaceStatement) -> Space:
    """The space of the including spec that stands for `local`; it must be of the same kind."""
    binding = frame.bindings[local]
    outer = frame.tables.spaces.entries[binding.name]
    if (outer.size, outer.group) != (space.size, space.group) or statement.nested or space.parent:
        message = f"space `{outer.name}` cannot stand for `{local}`"
        place = frame.tables.spaces.places[outer.name]
        notes = [
            Note(f"the space outside is {outer.size} : {outer.group}", place),
            Note(f"the space inside is {space.size} : {space.group}", statement.segment.span),
        ]
        help = "both must be roots without nested spaces, of one size and one group"
        fail("QE103", message, binding.span, *notes, help=help)
    return outer


def _fail_nesting(statement: tree.SpaceStatement) -> None:
    inner = statement.nested[0].segment
    message = f"space `{inner.name.text}` is nested in a space whose axis is a vector"
    note = Note("only an index carries a group per value", statement.group[0].word.span)
    fail(
        "QE047", message, inner.span, note, help="make the outer space `fixed`, `permute`, `scale` or `sign`"
    )


# Group words


def read_group(words: Sequence[tree.GroupWord]) -> GroupOf:
    """The group that words joined by `*` say; raises every mistake in them at once."""
    found = Collector()
    for word in words:
        _check_word(word, found)
    known = [w for w in words if w.word.text in WORDS]
    _check_fixed(known, found)
    _check_repeated(known, found)
    _check_mixture(known, found)
    characters = _read_characters(known, found)
    found.pass_on()
    texts = [w.word.text for w in words]
    vector = next((w for w in get_args(VectorWord) if w in texts), None)
    return GroupOf("permute" in texts, vector, characters)


def _check_word(word: tree.GroupWord, found: Collector) -> None:
    text, span = word.word.text, word.word.span
    if text not in WORDS:
        words = "the words are " + ", ".join(f"`{w}`" for w in WORDS)
        help = textbook_group(text) or suggest(text, WORDS, words)
        found.error("QE040", f"there is no group word `{text}`", span, help=help)
    elif word.character is not None and text not in CHARACTER_WORDS:
        message = f"`{text}` has no character to name"
        found.error("QE049", message, word.character.span, help="only `scale`, `sign` and `dilate` have one")


def _check_fixed(words: Sequence[tree.GroupWord], found: Collector) -> None:
    fixed = next((w for w in words if w.word.text == "fixed"), None)
    if fixed is None or len(words) == 1:
        return
    other = next((w.word.text for w in words if w.word.text != "fixed"), None)
    help = f"write `{other}` alone" if other else "write it once"
    if other in ("scale", "sign"):
        help += ": it is a torus over a fixed index"
    found.error("QE045", "`fixed` cannot be joined with another word", fixed.word.span, help=help)


def _check_repeated(words: Sequence[tree.GroupWord], found: Collector) -> None:
    seen: dict[str, tree.GroupWord] = {}
    for word in words:
        text = word.word.text
        if text in CHARACTER_WORDS or text == "fixed":
            continue
        if text in seen:
            note = Note("first here", seen[text].word.span)
            found.error(
                "QE043", f"`{text}` stands twice in this group", word.word.span, note, help="write it once"
            )
        seen.setdefault(text, word)


def _check_mixture(words: Sequence[tree.GroupWord], found: Collector) -> None:
    index = next((w.word for w in words if w.word.text in INDEX_WORDS), None)
    vector = next((w.word for w in words if w.word.text in VECTOR_WORDS), None)
    if index and vector:
        note = Note(f"`{index.text}` acts on single index values", index.span)
        message = f"`{vector.text}` acts on the whole axis and cannot join `{index.text}`"
        help = f"nest it, as in: space head = 4 : {index.text} {{ space qk = 16 : {vector.text} }}"
        found.error("QE041", message, vector.span, note, help=help)
        return
    matrices = list({w.word.text: w.word for w in words if w.word.text in MATRIX_WORDS}.values())
    for second in matrices[1:]:
        note = Note("it has one already", matrices[0].span)
        message = f"`{second.text}` cannot join `{matrices[0].text}`"
        found.error("QE042", message, second.span, note, help="one matrix acts on a vector axis")
    dilate = next((w.word for w in words if w.word.text == "dilate"), None)
    linear = next((w for w in matrices if w.text == "linear"), None)
    if dilate and linear:
        note = Note("`linear` stands here", linear.span)
        message = "`dilate` is redundant beside `linear`, which contains it"
        found.error("QE044", message, dilate.span, note, help="write `linear` alone")


def _read_characters(words: Sequence[tree.GroupWord], found: Collector) -> tuple[Character, ...]:
    named: dict[str, tree.Word] = {}
    characters = []
    for word in words:
        kind = _character_word(word.word.text)
        if kind is None:
            continue
        name = word.character or word.word
        if name.text in named:
            note = Note("first here", named[name.text].span)
            message = f"two characters of this group are named `{name.text}`"
            help = f"name them, as in `{kind}(pre) * {kind}(post)`"
            found.error("QE046", message, name.span, note, help=help)
        named.setdefault(name.text, name)
        characters.append(Character(name=name.text, word=kind))
    return tuple(characters)


def _character_word(text: str) -> CharacterWord | None:
    words: tuple[Literal["scale", "sign", "dilate"], ...] = get_args(CharacterWord)
    return next((w for w in words if w == text), None)
