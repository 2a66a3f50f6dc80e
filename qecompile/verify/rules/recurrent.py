"""Rules for the recurrent layers of torch.nn: functions of a sequence of fixed order, row by row.

They are neither linear nor homogeneous, so all charges must be 0; time and features must be fixed axes, on
which nothing acts. Every other axis only counts rows.
"""

from __future__ import annotations

from qecompile.verify.atoms import free
from qecompile.verify.references import with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Result, Rule, as_type, rule
from qecompile.verify.rules.pointwise import Function, apply_function
from qecompile.verify.rules.still import ordered
from qecompile.verify.types import Type
from qecompile.verify.unify import add


@rule("recurrent layer", "gru lstm rnn_tanh rnn_relu")
def layer(call: Call) -> Result:
    """H[t] = f(x[t], h[t-1]) along a fixed axis of time, and the last state of every layer."""
    if call.op.target.endswith(".data"):
        raise Refused("packed sequences have no rule", "give all sequences one length")
    if call.get("train", False) and call.get("dropout", 0.0):
        raise Refused("dropout in training mode is random", "call `.eval()`")
    t = call.type("input")
    if len(t.dims) != 3:
        raise Refused("a sequence without a batch axis has no rule", "add a batch axis")
    _check_weights(call.types("params"))
    time = 1 if call.get("batch_first", False) else 0
    out, last = call.op.parts[0], call.op.parts[1]
    rows = ordered(ordered(_free_of_laws(t, call.name), time, out[time], "time runs"), 2, out[2], WEIGHED)
    for state in call.types("hx") if call.name == "lstm" else (call.type("hx"),):
        rows = add(rows, _as_rows(state, rows, time, call.name))
    batch = rows.dims[1 - time]
    end = with_dims(rows, [(free(last[0]),), batch, (free(last[2]),)])
    return (rows, end, end)[: len(call.op.parts)]


WEIGHED = "features are mixed by weights"


def _as_rows(state: Type, rows: Type, time: int, name: str) -> Type:
    """An initial state [layers, batch, features] as something to be added to the rows."""
    for d in (0, 2):
        state = ordered(state, d, 1, WEIGHED)
    state = _free_of_laws(state, name)
    dims: list[tuple[object, ...]] = [(), (), ()]
    dims[1 - time] = state.dims[1]
    return with_dims(state, dims)  # type: ignore[arg-type]


@rule("recurrent cell", "gru_cell lstm_cell rnn_tanh_cell rnn_relu_cell")
def cell(call: Call) -> Result:
    """H' = f(x, h), row by row."""
    _check_weights(
        [call.type(name) for name in ("w_ih", "w_hh", "b_ih", "b_hh") if call.get(name) is not None]
    )
    given, size = call.get("hx"), (call.op.parts or (call.op.shape,))[0][-1]
    states = [as_type(part, "hx") for part in (given if isinstance(given, tuple) else (given,))]
    found = [
        ordered(_free_of_laws(t, call.name), len(t.dims) - 1, size, WEIGHED)
        for t in (call.type("input"), *states)
    ]
    joint = add(*found)
    return tuple(joint for _ in call.op.parts) if call.op.parts else joint


def _free_of_laws(t: Type, name: str) -> Type:
    """The type of any function of the values, entry by entry."""
    return apply_function(t, Function(), name)


def _check_weights(weights: list[Type] | tuple[Type, ...]) -> None:
    """Weights are those of the module: nothing acts on them."""
    for t in weights:
        if t.charges or any(a.kind != "free" and not t.is_uniform(a) for a in t.atoms.values()):
            raise Refused("a recurrent layer has weights that depend on theta", "use einsum and functions")


RULES: tuple[Rule, ...] = (layer, cell)
