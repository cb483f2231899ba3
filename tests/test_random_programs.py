"""Random graphs of operations, with sharing, broadcasting and branches.

The whole gradient is checked.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.testing import gradcheck

UNARY = [
    ops.tanh,
    ops.sigmoid,
    ops.sin,
    ops.softplus,
    lambda x: ops.exp(-ops.square(x)),
    lambda x: x.T,
    lambda x: x[::-1],
    lambda x: ops.broadcast_to(x.mean(axis=0, keepdims=True), x.shape),
    lambda x: ops.log_softmax(x, axis=1),
    lambda x: ops.inverse_sqrt(x @ x.T / 3, eps=0.5),
    lambda x: ops.correlate2d(x, x[:2, :2], padding="same"),
    lambda x: ops.index_add(x, ([0, 2, 0],), x[1]),
    lambda x: ops.kappa_exponential(ops.tanh(x), 1.5),
]
BINARY = [
    ops.add,
    ops.subtract,
    ops.multiply,
    ops.matmul,
    lambda a, b: a / (1.5 + ops.square(b)),
    lambda a, b: ops.einsum("ij,kj->ik", a, b) / 3,
    lambda a, b: a * b.sum(axis=1),
    lambda a, b: ops.concatenate([a[:1], b[1:]]),
    lambda a, b: ops.where(np.eye(3) > 0, a, b),
    lambda a, b: ops.lyapunov(np.diag([1.0, 2.0, 2.0]), a) * b,
]

steps = st.lists(
    st.one_of(
        st.tuples(st.just(1), st.integers(0, len(UNARY) - 1), st.integers(0, 99), st.just(0)),
        st.tuples(
            st.just(2), st.integers(0, len(BINARY) - 1), st.integers(0, 99), st.integers(0, 99)
        ),
    ),
    min_size=1,
    max_size=7,
)


def program(plan):
    """Return the function of a plan, whose steps take any earlier values, even twice."""

    def run(*inputs):
        values = list(inputs)
        for arity, which, first, second in plan:
            a, b = values[first % len(values)], values[second % len(values)]
            values.append(UNARY[which](a) if arity == 1 else BINARY[which](a, b))
        return sum((ops.tanh(v) for v in values[1:]), start=values[0])

    return run


@given(steps, st.integers(0, 2**32 - 1))
def test_gradients_of_random_programs(plan, seed):
    inputs = np.random.default_rng(seed).uniform(-1, 1, (2, 3, 3))
    assert (
        gradcheck(program(plan), list(inputs), order=2, tolerance=1e-5, seed=seed % 1000).error
        < 1e-5
    )


@given(steps, st.integers(0, 2**32 - 1))
def test_recorded_and_plain_backward_agree(plan, seed):
    inputs = [
        Tensor(x, requires_grad=True) for x in np.random.default_rng(seed).uniform(-1, 1, (2, 3, 3))
    ]
    run = program(plan)
    for plain, recorded in zip(
        grad(run(*inputs).sum(), inputs),
        grad(run(*inputs).sum(), inputs, create_graph=True),
        strict=True,
    ):
        assert (plain is None) == (recorded is None)
        assert plain is None or np.allclose(plain.numpy(), recorded.numpy(), rtol=1e-9, atol=1e-9)
