"""Inverse square roots of stacks on the device, against SciPy."""

import numpy as np
import pytest
from scipy.linalg import inv, sqrtm

from tinygrad_ckn import Tensor, ops
from tools.gpu_emulator.kernel_testing import agree, normal
from tools.gpu_emulator.standin import COUNTERS

pytestmark = pytest.mark.usefixtures("standin")


@pytest.mark.parametrize("rows", [1, 32, 33, 40])
def test_a_stack_of_matrices(standin, monkeypatch, rows):
    seen, eigh = [], standin.linalg.eigh
    monkeypatch.setattr(standin.linalg, "eigh", lambda a: seen.append(a.shape) or eigh(a))
    factors, direction = normal(1, (3, rows, 2 * rows), (3, rows, rows))
    a = factors @ factors.swapaxes(1, 2) / rows
    x = Tensor(a, requires_grad=True, device="cuda")
    y = ops.inverse_sqrt(x, eps=0.1)
    assert seen == ([(3, rows, rows)] if rows <= 32 else [(rows, rows)] * 3)
    agree(y.numpy(), np.stack([inv(sqrtm(each + 0.1 * np.eye(rows))) for each in a]))
    y.sum().backward()
    symmetric, h = direction + direction.swapaxes(1, 2), 1e-5
    moved = [
        inv(sqrtm(each + s * h * d + 0.1 * np.eye(rows)))
        for s in (1, -1)
        for each, d in zip(a, symmetric, strict=True)
    ]
    difference = (np.sum(moved[:3]) - np.sum(moved[3:])) / (2 * h)
    slopes = x.grad.numpy() * symmetric
    assert abs(slopes.sum() - difference) <= 1e-6 * np.abs(slopes).sum()


def test_a_stack_does_not_wait():
    a = Tensor(np.stack([np.eye(40)] * 2), requires_grad=True, device="cuda")
    COUNTERS.clear()
    ops.inverse_sqrt(a).sum().backward()
    assert not COUNTERS.synchronisations
