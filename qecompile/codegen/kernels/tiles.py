"""Tiles of rows, as text: which rows a program works at, and sums over some of their axes.

The rows of a tensor run along groups of axes with `names`; a tile is a box of TILE_a * TILE_b * ... rows, all
powers of two. A program walks STEPS tiles along the last group. Written code calls i_a the places of a tile's
rows along group a, tile_a the number of the tile, size_a the number of places.
"""

from __future__ import annotations

from qecompile.codegen.kernels.form import Axes
from qecompile.codegen.writer import Writer


def label(names: tuple[str, ...], span: Axes) -> str:
    """Some groups, as comments call them."""
    return f"[{', '.join(names[k] for k in span)}]"


def offset(tensor: str, names: tuple[str, ...], span: Axes) -> str:
    """Where a row of a tensor starts, one row for each entry of a tile."""
    terms = [f"i_{names[k]} * {tensor}_{names[k]}" for k in span]
    return f"({' + '.join(terms)})[:, None]"


def write_tile(w: Writer, names: tuple[str, ...]) -> None:
    """Which tile a program works at, and where each of its rows lies along every axis but the last."""
    *others, last = names
    w.line("at = tl.program_id(0)")
    w.line(f"tiles_{last} = tl.cdiv(size_{last}, TILE_{last} * STEPS)")
    w.line(f"tile_{last} = at % tiles_{last}")
    if others:
        w.line(f"at //= tiles_{last}")
    for name in reversed(others[1:]):
        w.line(f"tiles_{name} = tl.cdiv(size_{name}, TILE_{name})")
        w.line(f"tile_{name} = at % tiles_{name}")
        w.line(f"at //= tiles_{name}")
    if others:
        w.line(f"tile_{others[0]} = at")
    everything = tuple(range(len(names)))
    w.commented(
        f"r = tl.arange(0, {tile_size(names, everything)})", f"rows of a tile {label(names, everything)}"
    )
    for k, name in enumerate(others):
        w.line(f"i_{name} = tile_{name}.to(tl.int64) * TILE_{name} + {digit('r', names, everything, k)}")


def tile_size(names: tuple[str, ...], span: Axes) -> str:
    """The rows of a tile along some groups."""
    return " * ".join(f"TILE_{names[k]}" for k in span)


def digit(index: str, names: tuple[str, ...], span: Axes, k: int) -> str:
    """The place along group k of an entry of a tile that runs along the groups of `span`."""
    inner = [f"TILE_{names[j]}" for j in span if j > k]
    divisor = f"({' * '.join(inner)})" if len(inner) > 1 else "".join(inner)
    found = f"{index} // {divisor}" if inner else index
    return f"{found} % TILE_{names[k]}" if k != span[0] else found


def box_sum(names: tuple[str, ...], span: Axes, block: str = "BLOCK_N") -> str:
    """The sum of a tile over the groups that a part does not run along, the others as one axis."""
    found = "box"
    for k in reversed(range(len(names))):
        if k not in span:
            found = f"tl.sum({found}, {k})"
    return f"tl.reshape({found}, ({tile_size(names, span)}, {block}))"


def row(index: str, names: tuple[str, ...], span: Axes) -> str:
    """The number of a row among all along some groups, row-major."""
    first, *others = (names[k] for k in span)
    found = f"{index}_{first}"
    for k, name in enumerate(others):
        found = f"({found})" if k else found
        found = f"{found} * size_{name} + {index}_{name}"
    return found


def write_slot(
    w: Writer, names: tuple[str, ...], tensor: str, span: Axes, value: str, channel: tuple[str, str]
) -> None:
    """Store sums along some groups to the slot of this tile; `channel` is an index and its bound."""
    last, (index, bound) = len(names) - 1, channel
    w.line(f"q = tl.arange(0, {tile_size(names, span)})  # rows of a tile {label(names, span)}")
    for k in span:
        name = names[k]
        start = "start" if k == last else f"tile_{name}.to(tl.int64) * TILE_{name}"
        w.line(f"j_{name} = {start} + {digit('q', names, span, k)}")
    bounds = " & ".join(f"(j_{names[k]} < size_{names[k]})" for k in span)
    w.line(f"row = {row('j', names, span)}")
    slots = [names[k] for k in range(len(names)) if k not in span]
    if slots:
        slot = f"tile_{slots[0]}"
        for k, name in enumerate(slots[1:]):
            slot = f"({slot})" if k else slot
            slot = f"{slot} * tiles_{name} + tile_{name}"
        count = " * ".join(f"size_{names[k]}" for k in span)
        w.line(f"row += {slot if len(slots) == 1 else f'({slot})'}.to(tl.int64) * {count}")
    w.line(f"found = {value}")
    w.line(f"inside_part = ({bounds})[:, None] & ({index} < {bound})")
    w.line(f"tl.store({tensor} + row[:, None] * {bound} + {index}, found, mask=inside_part)")
