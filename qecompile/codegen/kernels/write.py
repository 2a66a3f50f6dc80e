"""The last section of an emitted file: kernels, their tables, their operators.

Takes the text of a file and what it was written from, gives what is written behind it. Nothing above the
section names it, so the file without it is complete; the section binds functions of the file anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from qecompile.activations import Function
from qecompile.codegen.kernels.form import ROWS, Form, forms_of, kernel_owners, rows_of
from qecompile.codegen.kernels.launching import IMPORTS, LARGE, LAUNCHING, NO_KERNELS, START
from qecompile.codegen.kernels.mean import MEAN, MEAN_KERNEL, ONE_BY_ONE, TWO_MEANS, TWO_MEANS_KERNEL
from qecompile.codegen.kernels.mix import write_mix_kernels
from qecompile.codegen.kernels.mix_ops import MIX, PLAIN
from qecompile.codegen.kernels.stack import FUNCTIONS, MOST_CHANNELS, Stacked, stacked, write_stack_kernels
from qecompile.codegen.kernels.stack_network import HOOK, MEANS_READ, NETWORK
from qecompile.codegen.kernels.stack_ops import STACK
from qecompile.codegen.network import Activations, write_input
from qecompile.codegen.reduce import labels
from qecompile.codegen.writer import Variables, Writer
from qecompile.plan.nodes import Plan
from qecompile.schedule.passes import schedule_layer
from qecompile.spec import MetaNet


def kernel_section(
    source: str, plan: Plan, variables: Variables, net: MetaNet, chosen: Activations, *, alpha: bool
) -> str:
    """The kernels for a file, ready to be added to it."""
    w = Writer()
    schedule = schedule_layer(plan, variables.spec, labels(plan, variables))
    forms, rows = forms_of(schedule.expand, variables), rows_of(schedule.expand)
    means = "\ndef _means(" in source
    if not forms and not rows and not means:
        return NO_KERNELS
    if "\nLARGE = " not in source:
        w.block(LARGE)
    w.block(LAUNCHING)
    if means:
        w.block(MEAN_KERNEL)
        w.block(MEAN)
        if re.search(r"\n    \w+, .*= _means\(", source):
            w.block(TWO_MEANS_KERNEL)
            w.block(TWO_MEANS)
        else:
            w.block(ONE_BY_ONE)
    if forms or rows:
        if not forms:
            w.block(PLAIN)
        _write_mixes(w, forms, rows)
    entries = stacked(schedule, variables, functions_between(net, chosen, alpha=alpha))
    if entries:
        _write_stack(w, entries, net, means=means)
    section = f"{START}\n\n{IMPORTS.strip()}\n\n\n{w.text()}"
    # no other file has operators of this name: it depends on all of the text
    digest = hashlib.sha256((source + section).encode()).hexdigest()[:12]
    return section.replace("{library}", f"qecompile_{digest}")


def _write_mixes(w: Writer, forms: tuple[Form, ...], rows: tuple[str, ...]) -> None:
    owners = kernel_owners(forms)
    if rows:
        write_mix_kernels(w, ROWS, list(rows))
    for key, owner in owners.items():
        write_mix_kernels(w, owner, [f.owner for f in forms if f.kernel == key])
    w.block(MIX)
    w.line()
    w.line()
    made = "_Form((), (), _mix_rows, _mix_rows_backward)" if rows else "None"
    w.line(f"PRODUCT: _Form | None = {made}")
    w.line("# By the shapes of a sum and of its parts, without batch and channels.")
    w.line("FORMS: dict[tuple[tuple[int, ...], ...], _Form] = {")
    written: dict[tuple[tuple[int, ...], ...], list[Form]] = {}
    for form in forms:
        written.setdefault(form.shapes, []).append(form)
    with w.indent():
        for shapes, same in written.items():
            kernel = owners[same[0].kernel].owner
            fields = [f"axes={same[0].merged}", f"parts={same[0].spans}"]
            fields += [f"forward=_mix_{kernel}", f"backward=_mix_{kernel}_backward"]
            w.line(f"# {_comment(same)}")
            w.call(f"{shapes}: _Form(", fields, "),")
    w.line("}")


def _comment(same: list[Form]) -> str:
    """How parts lie in targets, as in `W: [B, a, b] @ weight + [B, a] + [B, b]`."""
    names = [form.owner for form in same]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    everything = tuple(range(len(same[0].names)))
    labels = [same[0].label(span) for span in same[0].spans]
    return f"{shown}: {' + '.join([f'{same[0].label(everything)} @ weight', *labels])}"


def functions_between(net: MetaNet, chosen: Activations, *, alpha: bool) -> Mapping[str, Function | None]:
    """What stands between the layers of a network that may hand sums on, by parameter.

    Nothing if no layer follows another, if layers are wide, or if gates or alpha-maps read whole features.
    """
    layers = len(net.channels) - (1 if net.outputs else 0)
    if alpha or chosen.gated or layers < 2 or max(net.channels) > MOST_CHANNELS:
        return {}
    return chosen.of


def _write_stack(w: Writer, entries: tuple[Stacked, ...], net: MetaNet, *, means: bool) -> None:
    owners: dict[tuple[object, ...], Stacked] = {}
    for entry in entries:
        owners.setdefault(entry.kernel, entry)
    for key, owner in owners.items():
        write_stack_kernels(w, owner, [e.form.owner for e in entries if e.kernel == key])
    w.block(STACK)
    w.block(NETWORK)
    if means:
        w.block(MEANS_READ)
    w.line()
    w.line()
    w.line("STACK: dict[str, _Stacked] = {")
    with w.indent():
        for entry in entries:
            kernel = owners[entry.kernel].form.owner
            fields = [f'weight="weight_{entry.type}"']
            fields += [f"activation=lambda u: {entry.function.source.format('u')}"]
            fields += [f"slope=lambda u, x: {FUNCTIONS[entry.function.name][2]}"]
            fields += [f"axes={entry.form.merged}", f"parts={entry.form.spans}"]
            fields += [f"means={entry.means}", f"dims={entry.dims}"]
            fields += [f"forward=_advance_{kernel}", f"backward=_advance_{kernel}_backward"]
            w.call(f'"{entry.param}": _Stacked(', fields, "),")
    w.line("}")
    _write_network(w, net)
    w.block(HOOK)


def _write_network(w: Writer, net: MetaNet) -> None:
    w.line()
    w.line()
    w.line("def _stacked(self: MetaNet, theta: dict[str, Tensor]):")
    with w.indent():
        w.line('"""`MetaNet.forward`: each large tensor is read and written once a layer."""')
        write_input(w, net)
        for k in range(1, len(net.channels)):
            w.line(f"x = _activated(_advanced(self.linear{k}, x))")
        w.lines(_readout(net))


def _readout(net: MetaNet) -> Iterable[str]:
    if net.outputs:
        return ["return self.readout(_settled(x, active=True))"]
    return [
        "y = _settled(_advanced(self.readout.linear, x), active=False)",
        "return {name: y[name].squeeze(-1) for name in SHAPES}",
    ]
