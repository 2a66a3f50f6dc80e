"""`from` clauses: where a parameter stands in a checkpoint and how it is laid out there.

A layout is kept with the full names of spaces, as in `(head[1] qk[1]) D`, so that readers of a `Spec` need no
frame. Repeated axes keep the order of the type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from qecompile import tree
from qecompile.declarations import instance_name
from qecompile.errors import Note, Span, fail, suggest
from qecompile.expressions import Scope, integer, text
from qecompile.spec import Entry, Space

_TOKEN = re.compile(r"\s*([A-Za-z_][\w.]*(?:\[[\d\s,]*\][\w.]*)*|1(?!\w)|[()]|\S)")
_NAME = re.compile(r"[A-Za-z_1]")


def read_source(
    written: tree.SourceTree,
    axes: Sequence[tree.AxisTree],
    spaces: Sequence[Space],
    scope: Scope,
) -> Entry:
    """The checkpoint entry of a parameter with these axes."""
    key = text(written.key, scope)
    if not key.strip():
        fail("QE070", "this key is empty", written.key.span)
    slices = _read_slices(written, scope)
    if written.layout is None:
        return Entry(key=key)
    names = [".".join(instance_name(s, scope) for s in axis.space.segments) for axis in axes]
    named = [(local, space.name) for local, space in zip(names, spaces, strict=True)]
    layout = _read_layout(text(written.layout, scope), named, dict(slices), written)
    return Entry(key=key, layout=layout, at=tuple(slices))


def _read_slices(written: tree.SourceTree, scope: Scope) -> list[tuple[str, int]]:
    if written.slices and written.layout is None:
        word = written.slices[0][0]
        help = f'add the layout, as in: as "({word.text} head qk) D"'
        fail("QE071", f"nothing says where `{word.text}` stands", word.span, help=help)
    slices: list[tuple[str, int]] = []
    for word, value in written.slices:
        position = integer(value, scope)
        if position < 0:
            fail(
                "QE071",
                f"the slice `{word.text}` is {position}",
                value.span,
                help="slices are counted from 0",
            )
        if word.text in dict(slices):
            fail("QE071", f"the slice of `{word.text}` is given twice", word.span)
        slices.append((word.text, position))
    return slices


def _read_layout(
    layout: str, axes: Sequence[tuple[str, str]], slices: dict[str, int], written: tree.SourceTree
) -> str:
    """The layout with full names; every axis must stand in it once, and every sliced factor."""
    span = written.layout.span if written.layout else written.key.span
    missing = list(axes)
    unsliced = dict.fromkeys(slices)
    tokens = []
    for token in _tokens(layout, span):
        if token in unsliced:
            del unsliced[token]
        elif token not in "()1":
            token = _take(token, missing, axes, span)
        tokens.append(token)
    if missing:
        fail(
            "QE070",
            f"the layout leaves out the axis `{missing[0][0]}`",
            span,
            help="name every axis of the type",
        )
    if unsliced:
        word = next(w for w, _ in written.slices if w.text in unsliced)
        fail("QE071", f"the layout does not name `{word.text}`", word.span, Note("the layout", span))
    _check_slices(tokens, {name for axis in axes for name in axis}, written)
    return re.sub(r"\( | \)", lambda m: m.group().strip(), " ".join(tokens))


def _check_slices(tokens: Sequence[str], axes: set[str], written: tree.SourceTree) -> None:
    """Fail if a slice is called like an axis, or shares a stored axis with another and has no known size."""
    words = {word.text: word for word, _ in written.slices}
    before: str | None = None
    joined = False
    for token in tokens:
        if token in "()":
            before, joined = None, token == "("
        elif token in words:
            if token in axes:
                fail("QE071", f"the slice `{token}` is called like an axis of the type", words[token].span)
            if before is not None:
                message = f"the sizes of `{before}` and `{token}` cannot be told apart"
                fail("QE071", message, words[token].span, help="one slice for each stored axis")
            before = token if joined else None


def _tokens(layout: str, span: Span) -> Iterator[str]:
    depth = 0
    for match in _TOKEN.finditer(layout):
        token = re.sub(r"\s", "", match.group(1))
        depth += (token == "(") - (token == ")")
        if depth not in (0, 1):
            fail("QE070", "the parentheses of this layout do not match", span, help="they are not nested")
        if token not in "()" and not _NAME.match(token):
            help = 'a layout is like: as "(head qk) D"'
            fail("QE070", f"`{token}` has no meaning in a layout", span, help=help)
        yield token
    if depth:
        fail("QE070", "the parentheses of this layout do not match", span)


def _take(token: str, missing: list[tuple[str, str]], axes: Sequence[tuple[str, str]], span: Span) -> str:
    """The full name of the first axis left that a token of the layout can mean."""
    for entry in missing:
        if token in (entry[0], re.sub(r"\[[^\]]*\]$", "", entry[0])):
            missing.remove(entry)
            return entry[1]
    names = [local for local, _ in axes]
    if token in names:
        fail("QE070", f"the layout names `{token}` more often than the type", span)
    known = ", ".join(f"`{n}`" for n in names) or "none"
    help = suggest(token, names, f"the axes of the type: {known}; a slice needs `at {token} = 0`")
    fail("QE070", f"the layout names `{token}`, which is no axis of the type", span, help=help)
