"""The kernel of a mean over one axis, as text.

A tensor is read as [outer, size, inner], where `size` is the axis that the mean is over. A program adds up
STEPS tiles along it, for some of the rest, and writes the sum to a slot of its own,

    y[slot, o, i] = sum over s in slot of x[o, s, i];

what calls it adds the slots in their order and divides. Sums are taken in float32.
"""

from __future__ import annotations

MEAN_KERNEL = '''
def _sum_axis(
    x,
    y,
    outer,
    size,
    inner,
    TILE_O: tl.constexpr,
    TILE_S: tl.constexpr,
    TILE_I: tl.constexpr,
    STEPS: tl.constexpr,
):
    """y[slot, o, i] = sum of x[o, s, i] over the s of a slot: STEPS tiles along s for one program."""
    at = tl.program_id(0)
    tiles_i, slots = tl.cdiv(inner, TILE_I), tl.cdiv(size, TILE_S * STEPS)
    i = (at % tiles_i) * TILE_I + tl.arange(0, TILE_I)
    slot = at // tiles_i % slots
    o = (at // tiles_i // slots).to(tl.int64) * TILE_O + tl.arange(0, TILE_O)
    total = tl.zeros((TILE_O, TILE_I), tl.float32)
    for step in range(STEPS):
        s = (slot * STEPS + step) * TILE_S + tl.arange(0, TILE_S)
        row = o[:, None] * size + s  # [o, s]
        inside = ((o[:, None] < outer) & (s < size))[:, :, None] & (i < inner)
        box = tl.load(x + row[:, :, None] * inner + i, mask=inside, other=0.0)
        total += tl.sum(box.to(tl.float32), 1)
    at_y = y + (slot * outer + o)[:, None] * inner + i
    tl.store(at_y, total, mask=(o[:, None] < outer) & (i < inner))
'''
