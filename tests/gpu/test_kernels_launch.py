"""Launches: large batches in parts, operands in any memory order, no empty launches."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.cuda import launch, window
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.models.clustering.assignment import assign
from tinygrad_ckn.models.kernels import Exponential
from tools.gpu_emulator.kernel_testing import CUPY, agree, normal, on_gpu
from tools.gpu_emulator.standin import COUNTERS

pytestmark = pytest.mark.usefixtures("compiler", "standin")


def ckn_map(x, z):
    """Return the map and its gradients, concatenated."""
    tensors = [Tensor(a, requires_grad=True, device="cuda") for a in (x, z)]
    y = ops.ckn_map(*tensors, Exponential(1.0).fused(), subsampling=2)
    y.backward(Tensor(CUPY.ones(y.shape, dtype=y.dtype)))
    return CUPY.concatenate([a.data.reshape(-1) for a in (y, *(t.grad for t in tensors))])


CALLS = {
    "unfold": (lambda x: ops.unfold(x, 2), [(5, 2, 6, 7)]),
    "fold": (lambda x: ops.fold(x, (6, 7), 2), [(5, 8, 30)]),
    "correlate2d": (lambda x, w: ops.correlate2d(x, w, groups=2), [(5, 2, 6, 7), (4, 1, 2, 3)]),
    "correlate2d_input": (
        lambda g, w: ops.correlate2d_input(g, w, input_size=(6, 7)),
        [(5, 3, 5, 5), (3, 2, 2, 3)],
    ),
    "correlate2d_weight": (
        lambda x, g: ops.correlate2d_weight(x, g, kernel_size=(2, 3)),
        [(5, 2, 6, 7), (5, 3, 5, 5)],
    ),
    "gaussian_pool2d": (lambda x: ops.gaussian_pool2d(x, 1.5), [(5, 2, 6, 7)]),
    "gaussian_unpool2d": (lambda y: ops.gaussian_unpool2d(y, (6, 7), 1.5), [(5, 2, 4, 5)]),
    "ckn_map": (ckn_map, [(5, 2, 6, 7), (3, 2, 2, 3)]),
}
each = pytest.mark.parametrize(("function", "shapes"), CALLS.values(), ids=CALLS)


@each
def test_a_batch_in_parts_gives_the_result_of_one_launch(monkeypatch, function, shapes):
    arrays = normal(1, *shapes)
    whole, launches = on_gpu(function, *arrays), len(COUNTERS.launches)
    # one or two images
    monkeypatch.setattr(launch, "MAX_ELEMENTS", 200)
    COUNTERS.clear()
    agree(on_gpu(function, *arrays), whole)
    assert len(COUNTERS.launches) > launches


@each
def test_operands_in_any_order_of_memory(function, shapes):
    arrays = normal(2, *shapes)
    expected = on_gpu(function, *arrays)
    turned = [CUPY.asarray(a.T.copy()).T for a in arrays]
    assert not turned[0].flags.c_contiguous
    agree(CUPY.asnumpy(function(*turned)), expected)


@each
def test_nothing_waits_and_no_memory_goes_to_the_host(function, shapes):
    arrays = [CUPY.asarray(a) for a in normal(3, *shapes)]
    function(*arrays)
    COUNTERS.clear()
    function(*arrays)
    assert COUNTERS.launches
    assert not COUNTERS.synchronisations


@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"ckn_map"}))
def test_nothing_is_launched_for_no_images(name):
    function, shapes = CALLS[name]
    five = on_gpu(function, *normal(1, *shapes))
    COUNTERS.clear()
    # A length of five is the number of images.
    none = on_gpu(function, *normal(1, *((n % 5, *more) for n, *more in shapes)))
    assert none.shape == (len(five) % 5, *five.shape[1:])
    assert not none.any()
    assert not COUNTERS.launches


@pytest.mark.parametrize("name", CALLS)
def test_an_image_that_is_too_large_is_refused(monkeypatch, name):
    monkeypatch.setattr(launch, "MAX_ELEMENTS", 20)
    function, shapes = CALLS[name]
    with pytest.raises(
        ShapeError,
        match=rf"^{name}: expected images of at most 20 elements on the GPU, got \d+ in one; "
        "cut the images",
    ):
        on_gpu(function, *normal(1, *shapes))


def test_too_many_points_are_refused(monkeypatch):
    from tinygrad_ckn.cuda import kmeans

    monkeypatch.setattr(kmeans, "MAX_ELEMENTS", 4)
    with pytest.raises(
        ShapeError, match="argument x expected at most 4 points on the GPU, got 5; take fewer"
    ):
        assign(*(CUPY.ones(shape) for shape in ((5, 2), (5,), (1, 2))))


def test_a_source_is_compiled_once(standin, monkeypatch):
    made = []
    real = standin.RawModule
    monkeypatch.setattr(
        standin, "RawModule", lambda **options: made.append(options) or real(**options)
    )
    source = launch.Source("window", "unfold<{T}>")
    launch.SOURCES.remove(source)
    assert source.module(standin) is source.module(standin)
    assert [options["name_expressions"] for options in made] == [
        ("unfold<float>", "unfold<double>")
    ]
    assert made[0]["code"] == window.SOURCE.text


def test_parts_cover_a_batch():
    assert list(launch.batch_slices("op", 0, 10)) == []
    assert [
        range(10)[part] for part in launch.batch_slices("op", 10, launch.MAX_ELEMENTS // 4)
    ] == [
        range(4),
        range(4, 8),
        range(8, 10),
    ]
    assert len(list(launch.batch_slices("op", 3, 0))) == 1


@pytest.mark.parametrize("wide", [4, 8, 16, 32])
def test_rows_read_by_one_warp_use_distinct_banks(wide):
    assert launch.threads_per_row(wide) == wide
    for row in range(1, 80):
        row_pitch = launch.row_pitch(row, wide)
        assert row <= row_pitch < row + 32
        banks = (np.arange(32) // wide * row_pitch + np.arange(32) % wide) % 32
        assert len(set(banks)) == 32
