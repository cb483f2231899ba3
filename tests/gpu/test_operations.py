"""Every operation on the stand-in for CuPy: values and gradients are those of the CPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, grad
from tinygrad_ckn.backend import to_numpy
from tinygrad_ckn.testing import check_adjoint, gradcheck
from tinygrad_ckn.testing.cases import CASES, Case, Draw, on_device
from tinygrad_ckn.testing.primitives import CHECKED

TOLERANCES = {"float64": 1e-12, "float32": 1e-5}  # relative to the largest value
cases = [case for name in CHECKED for case in CASES[name]]
each = pytest.mark.parametrize("case", cases, ids=[f"{c.name}-{i}" for i, c in enumerate(cases)])


def drawn_for(case: Case, data: Any, dtype: str) -> Draw:
    """Draw arguments in a dtype, and of the algorithms of the CPU none."""
    args, options = case.draw(data)
    floats = [a.astype(dtype) if getattr(a, "dtype", None) == "float64" else a for a in args]
    return Draw(floats, {key: "auto" if key == "algorithm" else value for key, value in options.items()})


def results(function: Any, args: Sequence[Any], device: str) -> list[np.ndarray]:
    """Return the outputs, and the gradients of a sum of them with random weights, on the host."""
    points = on_device(args, device)
    leaves = [p for p in points if isinstance(p, Tensor) and p.dtype.kind == "f"]
    for leaf in leaves:
        leaf.requires_grad = True
    found = function(*points)
    outputs = list(found) if isinstance(found, tuple | list) else [found]
    rng = np.random.default_rng(3)
    weights = [Tensor(rng.uniform(0.5, 1.5, y.shape), dtype=y.dtype, device=y.device) for y in outputs]
    total = sum((y * w).sum() for y, w in zip(outputs, weights, strict=True))
    gradients = grad(total, leaves)
    return [to_numpy(t.data) for t in (*outputs, *(g for g in gradients if g is not None))]


def assert_near(mine: Sequence[np.ndarray], reference: Sequence[np.ndarray], dtype: str) -> None:
    for a, b in zip(mine, reference, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert np.isfinite(b).all()
        if b.size:
            assert np.abs(a - b).max() <= TOLERANCES[dtype] * np.abs(b).max()


@each
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_values_and_gradients_are_those_of_the_cpu(plain, case, dtype):
    @settings(max_examples=4)
    @given(data=st.data())
    def run(data):
        args, options = drawn_for(case, data, dtype)
        function = case.call(options)
        assert_near(results(function, args, "cuda"), results(function, args, "cpu"), dtype)

    run()
