"""What `build --print-plan` shows: the operations of a layer, with what each moves and computes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qecompile.schedule.cost import Cost, Sizes, Work, costs, floor, total
from qecompile.schedule.nodes import Schedule
from qecompile.schedule.text import show_operation, show_value
from qecompile.tables import Block, Table

EXAMPLE = Sizes(batch=8, in_channels=16, out_channels=16)


@dataclass(frozen=True, slots=True)
class PlanReport:
    """The schedule of `EquivariantLinear`, at the sizes for which its costs are shown.

    `stack` is that of a layer in a network whose kernels hand sums on, if it is another.
    """

    schedule: Schedule
    sizes: Sizes = EXAMPLE
    stack: Schedule | None = None

    @property
    def ok(self) -> bool:
        """A plan that could be made is in order."""
        return True

    def to_json(self) -> dict[str, object]:
        """The same as plain data."""
        found = costs(self.schedule, self.sizes)
        return {
            "batch": self.sizes.batch,
            "in_channels": self.sizes.in_channels,
            "out_channels": self.sizes.out_channels,
            "operations": [
                {
                    "name": cost.op.out.name,
                    "operation": show_operation(cost.op),
                    "gives": show_value(cost.op.out),
                    "bytes": self._bytes(cost.forward),
                    "flops": cost.forward.flops,
                    "backward_bytes": self._bytes(cost.backward),
                    "backward_flops": cost.backward.flops,
                }
                for cost in found
            ],
            "floor_bytes": self._bytes(floor(self.schedule, self.sizes)),
            "bytes": self._bytes(total(found)),
            "flops": total(found).flops,
            **({"stack": PlanReport(self.stack, self.sizes).to_json()} if self.stack else {}),
        }

    def blocks(self) -> Iterable[Block]:
        """Both stages as tables, and the sum beside the floor."""
        found = costs(self.schedule, self.sizes)
        first = len(self.schedule.reduce)
        sizes = f"batch {self.sizes.batch}, {self.sizes.in_channels} -> {self.sizes.out_channels} channels"
        yield self._table(
            f"reduce: what each type reads ({sizes}, {self.sizes.bytes_per_entry} bytes)", found[:first]
        )
        yield self._table("expand: from the types to the targets", found[first:])
        least, all_forward = floor(self.schedule, self.sizes), total(found)
        yield (
            f"forward: {self._bytes(all_forward):,} bytes, "
            f"{all_forward.entries / max(least.entries, 1):.2f} times the floor; {all_forward.flops:,} flops"
        )
        if self.stack is not None:
            yield "on a GPU, in a network whose kernels hand sums on from layer to layer:"
            yield from PlanReport(self.stack, self.sizes).blocks()

    def _table(self, title: str, found: Iterable[Cost]) -> Table:
        rows = tuple(
            (
                cost.op.out.name,
                show_operation(cost.op),
                show_value(cost.op.out),
                str(self._bytes(cost.forward)),
                str(cost.forward.flops),
            )
            for cost in found
        )
        return Table(title, ("value", "operation", "gives", "bytes", "flops"), rows)

    def _bytes(self, work: Work) -> int:
        return work.entries * self.sizes.bytes_per_entry
