import numpy as np
import pytest

from tinygrad_ckn import ops
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.models.layers.pooling import POOLINGS, Pooling


@pytest.mark.parametrize("name", POOLINGS)
def test_output_size_is_that_of_the_maps(name: str) -> None:
    y = np.random.default_rng(0).normal(size=(2, 3, 9, 8))
    pooling = Pooling.of("Layer", name, 1 if name == "none" else (2, 3))
    sizes = {
        "gaussian": (5, 3),
        "average": (4, 2),
        "max": (4, 2),
        "strided": (9, 8),
        "none": (9, 8),
    }
    assert pooling(y).shape[2:] == pooling.output_size((9, 8)) == sizes[name]


def test_strided_pooling_is_the_stride_of_the_patches_alone() -> None:
    y = np.random.default_rng(0).normal(size=(1, 1, 5, 5))
    for name in POOLINGS:
        pooling = Pooling.of("Layer", name, 1 if name == "none" else (2, 3))
        assert pooling.stride == ((2, 3) if name == "strided" else (1, 1))
    assert Pooling.of("Layer", "strided", 2)(y) is y


def test_gaussian_pooling_takes_fractions() -> None:
    y = np.random.default_rng(0).normal(size=(2, 3, 9, 8))
    pooling = Pooling.of("Layer", "gaussian", (2**0.5, 1))
    np.testing.assert_array_equal(pooling(y), ops.gaussian_pool2d(y, (2**0.5, 1)))


@pytest.mark.parametrize(
    ("name", "subsampling", "message"),
    [
        (
            "mean",
            1,
            "^Layer: argument pooling expected 'gaussian', 'average', 'max', .*'none', got 'mean'$",
        ),
        ("none", 2, "^Layer: argument subsampling expected 1 with pooling 'none', got 2$"),
        (
            "max",
            1.5,
            "^Layer: argument subsampling expected integers with pooling 'max', got 1.5; only",
        ),
        ("gaussian", 0.5, "^Layer: argument subsampling expected a number >= 1"),
    ],
)
def test_options_out_of_range_are_refused(name: str, subsampling: float, message: str) -> None:
    with pytest.raises((ConfigError, ShapeError), match=message):
        Pooling.of("Layer", name, subsampling)


@pytest.mark.parametrize("name", ["average", "max"])
def test_subsampling_that_leaves_nothing_is_refused(name: str) -> None:
    message = r"Layer: expected a map of at least the subsampling \(3, 3\), got \(9, 2\); use"
    with pytest.raises(ShapeError, match=message):
        Pooling.of("Layer", name, 3).output_size((9, 2))
