"""The recurrence of long short-term memory: one step, and all steps of a sequence.

T steps, N batch, H units. A state is h and c side by side, (N, 2H); gates are those of the
input, the forget gate, the candidate and the output, in this order, (N, 4H).
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn.backend import Array, Namespace, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.ops.elementwise import sigmoid, tanh
from tinygrad_ckn.ops.join import concatenate, stack
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.primitive import primitive


@primitive(saves=True)
def lstm_step(xp: Namespace, inputs: Array, state: Array, w: Array) -> tuple[Array, Any]:
    """Return the state after a step, (N, 2H), from the one before.

    `inputs` (N, 4H) are what the step's input and the biases add to the gates, `w` (4H, H)
    has the weights of h.
    """
    units = w.shape[1]
    gates = xp.array(inputs, dtype=xp.result_type(inputs, state, w))
    y = xp.empty((len(gates), 2 * units), dtype=gates.dtype)
    tanh_c = xp.empty((len(gates), units), dtype=gates.dtype)
    _advance(xp, gates, state, w, y, tanh_c)
    return y, (gates, tanh_c)


lstm_step.vjp_jointly(
    lambda g, inputs, state, w, y, saved, needs_grad: _step_rule(
        g, saved, inputs, state, w, y, needs_grad
    )
)


def _step_rule(
    g: Any, saved: Any, inputs: Any, state: Any, w: Any, y: Any, needs_grad: tuple[bool, ...]
) -> list[Any]:
    units = w.shape[1]
    if saved is None:
        before = inputs + matmul(state[:, :units], w.T)
        parts = [before[:, k * units : (k + 1) * units] for k in range(4)]
        i, f, z, o = (tanh(part) if k == 2 else sigmoid(part) for k, part in enumerate(parts))
        tanh_c = tanh(y[:, units:])
    else:
        gates, tanh_c = saved
        i, f, z, o = (gates[:, k * units : (k + 1) * units] for k in range(4))
    gh = g[:, :units]
    gc = g[:, units:] + gh * o * (1 - tanh_c * tanh_c)
    slopes = concatenate(
        [
            gc * z * i * (1 - i),
            gc * state[:, units:] * f * (1 - f),
            gc * i * (1 - z * z),
            gh * tanh_c * o * (1 - o),
        ],
        axis=1,
    )
    return [
        slopes,
        concatenate([matmul(slopes, w), gc * f], axis=1) if needs_grad[1] else None,
        matmul(slopes.T, state[:, :units]) if needs_grad[2] else None,
    ]


def _advance(xp: Namespace, gates: Any, state: Any, w: Any, y: Any, tanh_c: Any) -> None:
    """Write the gates over their inputs, the new state to y, and tanh of its c."""
    units = w.shape[1]
    gates += xp.matmul(state[:, :units], w.T)
    z = xp.tanh(gates[:, 2 * units : 3 * units])
    # 1 / (1 + e^-x), where e^-x would overflow with the smallest result there is.
    xp.negative(gates, out=gates)
    xp.minimum(gates, math.log(xp.finfo(gates.dtype).max) - 1, out=gates)
    xp.exp(gates, out=gates)
    gates += 1
    xp.reciprocal(gates, out=gates)
    gates[:, 2 * units : 3 * units] = z
    c = y[:, units:]
    xp.multiply(gates[:, units : 2 * units], state[:, units:], out=c)
    z *= gates[:, :units]
    c += z
    xp.tanh(c, out=tanh_c)
    xp.multiply(gates[:, 3 * units :], tanh_c, out=y[:, :units])


@primitive(saves=True)
def lstm_sequence(xp: Namespace, inputs: Array, start: Array, w: Array) -> tuple[Array, Any]:
    """Return the states after each step, (T, N, 2H), from the one before the first.

    As T times `lstm_step`, of inputs (T, N, 4H).
    """
    steps, n = inputs.shape[:2]
    if not steps:
        raise ShapeError("LSTM: expected a sequence of at least one step, got one of length 0")
    units = w.shape[1]
    gates = xp.array(inputs, dtype=xp.result_type(inputs, start, w))
    states = xp.empty((steps, n, 2 * units), dtype=gates.dtype)
    tanh_c = xp.empty((steps, n, units), dtype=gates.dtype)
    state = start
    for t in range(steps):
        _advance(xp, gates[t], state, w, states[t], tanh_c[t])
        state = states[t]
    return states, (gates, tanh_c)


lstm_sequence.vjp_jointly(
    lambda g, inputs, start, w, y, saved, needs_grad: (
        _recorded_rule(g, (inputs, start, w), needs_grad)
        if saved is None
        else _sequence_rule(g, start, w, y, saved)
    )
)


def _sequence_rule(g: Any, start: Any, w: Any, states: Any, saved: Any) -> list[Any]:
    """Return the gradients of inputs, start and w as raw arrays."""
    gates, tanh_c = saved
    xp = xp_of(gates)
    steps, n, units = tanh_c.shape
    before = xp.concatenate([start[None], states[:-1]])
    four = (steps, n, 4, units)
    i, f, z, o = (gates.reshape(four)[:, :, k] for k in range(4))
    # The derivatives of c by the first three gates, and of h by the last.
    slopes = gates * (1 - gates)
    s = slopes.reshape(four)
    s[:, :, 2] = 1 - z * z
    for k, factor in enumerate((z, before[:, :, units:], i, tanh_c)):
        s[:, :, k] *= factor
    of_c = o * (1 - tanh_c * tanh_c)
    gh, gc = g[:, :, :units], g[:, :, units:].copy()
    back = xp.zeros((n, units), dtype=g.dtype)
    for t in reversed(range(steps)):
        back += gh[t]
        gc[t] += back * of_c[t]
        s[t, :, :3] *= gc[t][:, None]
        s[t, :, 3] *= back
        if t:
            gc[t - 1] += gc[t] * f[t]
        back = xp.matmul(slopes[t], w)
    of_start = xp.concatenate([back, gc[0] * f[0]], axis=1)
    rows = before[:, :, :units].reshape(-1, units)
    return [slopes, of_start, xp.matmul(slopes.reshape(-1, 4 * units).T, rows)]


def _recorded_rule(g: Any, operands: tuple[Any, ...], needs_grad: tuple[bool, ...]) -> list[Any]:
    """Return the gradients as Tensors with a graph: those of the same steps, one by one."""
    # copies, so that each operand is a vertex of its own
    inputs, state, w = copies = [operand * 1 for operand in operands]
    states = []
    for t in range(len(inputs)):
        state = lstm_step(inputs[t], state, w)
        states.append(state)
    ends = [copy._vertex for copy, needed in zip(copies, needs_grad, strict=True) if needed]
    root = stack(states, axis=0)._vertex
    found = backpropagate([(root, g)], ends, create_graph=True, retain_graph=True, partial=True)
    return [
        found.get(copy._vertex) if needed else None
        for copy, needed in zip(copies, needs_grad, strict=True)
    ]
