import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import ConfigError, DTypeError, ShapeError
from tinygrad_ckn.ops import correlate
from tinygrad_ckn.testing.strategies import arrays, conv_args


def brute_force(x, w, stride, pads, dilation, groups):
    """Correlate by loops over every output element."""
    x = np.pad(x, ((0, 0), (0, 0), *pads))
    (n, _, height, width), (o, c, kh, kw) = x.shape, w.shape
    ho = (height - (kh - 1) * dilation[0] - 1) // stride[0] + 1
    wo = (width - (kw - 1) * dilation[1] - 1) // stride[1] + 1
    y = np.zeros((n, o, ho, wo))
    for image, filt, i, j in np.ndindex(n, o, ho, wo):
        first = filt // (o // groups) * c
        for channel, a, b in np.ndindex(c, kh, kw):
            row, column = i * stride[0] + a * dilation[0], j * stride[1] + b * dilation[1]
            y[image, filt, i, j] += x[image, first + channel, row, column] * w[filt, channel, a, b]
    return y


@given(
    arrays(st.integers(4, 7), st.integers(4, 7)),
    arrays(st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from(["valid", "same", "full"]),
)
def test_two_dimensions_agree_with_scipy(x, w, word):
    assert np.allclose(
        ops.correlate2d(x, w, padding=word), signal.correlate2d(x, w, word), atol=1e-12
    )


@given(conv_args(max_size=5))
def test_four_dimensions_agree_with_loops(args):
    x, w, options = args
    k, d = w.shape[2:], options["dilation"]
    padding = options["padding"]
    if padding == "valid":
        pads = [(0, 0), (0, 0)]
    elif padding == "full":
        pads = [((k[a] - 1) * d[a],) * 2 for a in (0, 1)]
    elif padding == "same":
        pads = [((k[a] - 1) * d[a] // 2, -((1 - k[a]) * d[a] // 2)) for a in (0, 1)]
    else:
        pads = [(p, p) for p in ((padding, padding) if isinstance(padding, int) else padding)]
    expected = brute_force(x, w, options["stride"], pads, d, options["groups"])
    assert np.allclose(ops.correlate2d(x, w, **options), expected, atol=1e-12)
    assert np.allclose(ops.correlate2d.forward(np, x, w, **options), expected, atol=1e-12)


@pytest.mark.parametrize("k", range(1, 6))
@pytest.mark.parametrize("d", range(1, 4))
@pytest.mark.parametrize("algorithm", ["auto", "unfold", "fft"])
def test_same_is_the_middle_of_full_for_every_kernel_and_dilation(k, d, algorithm):
    x, w = np.arange(1.0, 15).reshape(1, 1, 1, 14) ** 2, np.arange(1.0, k + 1).reshape(1, 1, 1, k)
    stretched = np.zeros((k - 1) * d + 1)
    stretched[::d] = w.ravel()
    expected = signal.correlate2d(x[0, 0], stretched[None], mode="full")[0]
    extra = len(stretched) - 1
    # PyTorch's rule: extra // 2 zeros before the image, the others after it.
    expected = expected[extra - extra // 2 :][:14]
    actual = ops.correlate2d(
        x, w, padding="same", dilation=(1, d), algorithm=algorithm if d == 1 else "auto"
    )
    assert np.allclose(actual.ravel(), expected)
    columns = ops.unfold(x, (1, k), padding="same", dilation=(1, d))
    assert np.allclose((w.ravel() @ columns[0]), expected)


@pytest.mark.parametrize("block", [1, 300, 2**25])
def test_blocks_of_images_do_not_change_the_result(monkeypatch, block):
    random = np.random.default_rng(0)
    x, w = random.standard_normal((7, 3, 6, 5)), random.standard_normal((4, 3, 3, 2))
    g = random.standard_normal((7, 4, 4, 4))

    def plain():
        return (
            ops.correlate2d.forward(np, x, w),
            ops.correlate2d_input.forward(np, g, w, input_size=(6, 5)),
            ops.correlate2d_weight.forward(np, x, g, kernel_size=(3, 2)),
        )

    whole = plain()
    monkeypatch.setattr(correlate, "_BLOCK_BYTES", block)
    for part, expected in zip(plain(), whole, strict=True):
        assert np.allclose(part, expected, atol=1e-12)


def test_peak_memory_is_far_below_the_unfolded_images():
    x = np.ones((256, 8, 32, 32), dtype="float32")
    w = np.ones((4, 8, 5, 5), dtype="float32")
    unfolded = x.size * 25 * 4
    tracemalloc.start()
    try:
        ops.correlate2d(x, w, padding="same")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert unfolded > 200e6
    assert peak < 80e6


def test_empty_batches_have_zero_weight_gradients():
    x = Tensor(np.ones((0, 2, 4, 4)), requires_grad=True)
    w = Tensor(np.ones((3, 2, 3, 3)), requires_grad=True)
    y = ops.correlate2d(x, w, padding="same")
    assert y.shape == (0, 3, 4, 4)
    y.sum().backward()
    assert x.grad.shape == (0, 2, 4, 4)
    assert not w.grad.numpy().any()


@pytest.mark.parametrize(
    "call",
    [
        lambda x, a: ops.correlate2d.forward(np, x, x, algorithm=a),
        lambda x, a: ops.correlate2d_input.forward(np, x, x, input_size=(7, 7), algorithm=a),
        lambda x, a: ops.correlate2d_weight.forward(np, x, x, kernel_size=1, algorithm=a),
    ],
)
def test_other_devices_have_one_algorithm(call):
    x = np.ones((1, 1, 4, 4))
    assert np.array_equal(call(x, "unfold"), call(x, "auto"))
    with pytest.raises(
        ConfigError,
        match="argument algorithm expected 'auto' or 'unfold' on this device, got 'fft'",
    ):
        call(x, "fft")


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda x, w: ops.correlate2d(x, w, np.ones(2)),
            ShapeError,
            r"bias expected shape \(3,\), one for each filter",
        ),
        (
            lambda x, w: ops.correlate2d(x, w, padding="SAME"),
            ShapeError,
            "'valid', 'same', 'full' or numbers, got 'SAME'",
        ),
        (
            lambda x, w: ops.correlate2d(x, w, stride=0),
            ShapeError,
            "stride expected an integer >= 1",
        ),
        (
            lambda x, w: ops.correlate2d(x, w, stride=(1, 1.5)),
            ShapeError,
            "stride expected an integer >= 1",
        ),
        (lambda x, w: ops.correlate2d(x, w, groups=2), ShapeError, "argument w expected shape"),
        (
            lambda x, w: ops.correlate2d(x[0], w),
            ShapeError,
            r"x expected shape \(N, C, H, W\), got \(2, 4, 4\)",
        ),
        (
            lambda x, w: ops.correlate2d(x, w.astype(int)),
            DTypeError,
            "argument w expected a floating dtype",
        ),
        (
            lambda x, w: ops.correlate2d_input(x, w, input_size=(9, 9)),
            ShapeError,
            "argument cotangent expected shape",
        ),
        (
            lambda x, w: ops.correlate2d_weight(x, x, kernel_size=2),
            ShapeError,
            "argument cotangent expected shape",
        ),
    ],
)
def test_arguments_that_do_not_match_are_named_in_the_error(call, error, match):
    with pytest.raises(error, match=match):
        call(np.ones((1, 2, 4, 4)), np.ones((3, 2, 3, 3)))
