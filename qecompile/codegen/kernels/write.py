"""The last section of an emitted file: kernels, their table, their operators.

Takes the text of a file and the plan of its layer, gives what is written behind it. Nothing above the section
names it, so the file without it is complete; the section binds `_mix` and `_mean` anew.
"""

from __future__ import annotations

import hashlib

from qecompile.codegen.kernels import ops as text
from qecompile.codegen.kernels.form import Form, forms_of, kernel_owners
from qecompile.codegen.kernels.mean import MEAN_KERNEL
from qecompile.codegen.kernels.mix import write_mix_kernels
from qecompile.codegen.reduce import labels
from qecompile.codegen.writer import Variables, Writer
from qecompile.plan.nodes import Plan
from qecompile.schedule.passes import schedule_layer


def kernel_section(source: str, plan: Plan, variables: Variables) -> str:
    """The kernels for a file, ready to be added to it."""
    w = Writer()
    forms = forms_of(schedule_layer(plan, variables.spec, labels(plan, variables)).expand, variables)
    means = "\ndef _mean(" in source
    if not forms and not means:
        return f"\n\n{text.START}\n\n\n{text.NO_KERNELS.strip()}\n"
    w.block(text.LAUNCHING)
    if means:
        w.block(MEAN_KERNEL)
        w.block(text.MEAN)
    if forms:
        _write_mixes(w, forms)
    section = f"\n\n{text.START}\n\n{text.IMPORTS.strip()}\n\n\n{w.text()}"
    # no other file has operators of this name: it depends on all of the text
    digest = hashlib.sha256((source + section).encode()).hexdigest()[:12]
    return section.replace("{library}", f"qecompile_{digest}")


def _write_mixes(w: Writer, forms: tuple[Form, ...]) -> None:
    owners = kernel_owners(forms)
    for key, owner in owners.items():
        write_mix_kernels(w, owner, [f.owner for f in forms if f.kernel == key])
    w.block(text.MIX)
    w.line()
    w.line()
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
