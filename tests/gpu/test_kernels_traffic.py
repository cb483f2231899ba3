"""Memory traffic of the kernels on aligned shapes: coalescing and bank conflicts."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.cuda.launch import OPTIONS, SOURCES
from tinygrad_ckn.models import kernels
from tinygrad_ckn.models.clustering.assignment import assign
from tools.gpu_emulator import ptx
from tools.gpu_emulator.kernel_testing import CUPY, normal

pytestmark = pytest.mark.usefixtures("compiler", "standin")

COALESCING, CONFLICTS = 1.3, 2
KERNELS = [
    kernels.Exponential(1.0),
    kernels.Polynomial(2),
    kernels.InversePolynomial(),
    kernels.ArcCosine0(),
    kernels.ArcCosine1(),
    kernels.Matern(1.5),
]


@pytest.fixture
def reports(monkeypatch):
    """Return a list that collects the reports of all launches in a test."""
    kept, launch = [], ptx.launch

    def recording(*args, **options):
        kept.append(launch(*args, **options))
        return kept[-1]

    monkeypatch.setattr(ptx, "launch", recording)
    return kept


def device(dtype, *shapes):
    return [CUPY.asarray(a.astype(dtype)) for a in normal(0, *shapes)]


def within(reports):
    """Assert that each access of each launch is within the limits."""
    assert reports
    for report in reports:
        assert report.worst_coalescing <= COALESCING, str(report)
        assert report.worst_bank_conflict <= CONFLICTS, str(report)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_kernels_on_aligned_images(compiler, reports, dtype):
    x, small, points, centroids = device(dtype, (1, 2, 64, 32), (2, 1, 3, 3), (64, 32), (32, 32))
    columns = ops.unfold(x, 3, padding=1)
    ops.fold(columns, (64, 32), 3, padding=1)
    ops.fold(
        ops.unfold(x, (3, 1), stride=(2, 1), padding=(1, 0)),
        (64, 32),
        (3, 1),
        stride=(2, 1),
        padding=(1, 0),
    )
    ops.correlate2d(x, small, groups=2, padding="same")
    large = device(dtype, (1, 1, 80, 96), (1, 1, 30, 65) if dtype == "float64" else (1, 1, 70, 65))
    ops.correlate2d(*large)
    ops.gaussian_unpool2d(ops.gaussian_pool2d(x, 2), (64, 32), 2)
    assign(points, points[:, 0].copy(), centroids)
    z = np.ones((8, 2, 3, 3), dtype) / 18**0.5
    for kernel in KERNELS:
        tensors = [Tensor(a, requires_grad=True, device="cuda") for a in (CUPY.asnumpy(x), z)]
        ops.ckn_map(*tensors, kernel.fused()).sum().backward()
    within(reports)
    kind = {"float32": "float", "float64": "double"}[dtype]
    asked_for = {
        compiler.compile(source.text, source.expressions, options=OPTIONS).names[expression]
        for source in SOURCES
        for expression in source.expressions
        if kind in expression
    }
    assert {report.kernel for report in reports} == asked_for


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("wide", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("stride", [1, 2, 3, 5, 6, (2, 1), (1, 2), (3, 6)])
def test_tiles_of_correlations_have_few_bank_conflicts(reports, wide, stride, dtype):
    (sh, sw) = (stride, stride) if isinstance(stride, int) else stride
    size = 16 * sh + 2, (wide - 1) * sw + 3
    ops.correlate2d(*device(dtype, (1, 1, *size), (1, 1, 3, 3)), stride=stride)
    assert reports
    for report in reports:
        assert report.worst_bank_conflict <= CONFLICTS, str(report)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("wide", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("s", [1, 1.5, 2, 2.7, 3, 4, 6, 8])
def test_tiles_of_pooling_have_few_bank_conflicts(reports, wide, s, dtype):
    size = 8, int((wide - 1) * s) + 1
    ops.gaussian_unpool2d(ops.gaussian_pool2d(*device(dtype, (1, 1, *size)), s), size, s)
    assert len(reports) == 2
    for report in reports:
        assert report.worst_bank_conflict <= CONFLICTS, str(report)
