import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.nn import AvgPool2d, GaussianPool2d, MaxPool2d

X = np.random.default_rng(0).normal(size=(2, 3, 6, 4))


def test_windows_do_not_overlap_by_default() -> None:
    blocks = X.reshape(2, 3, 3, 2, 2, 2)
    np.testing.assert_array_equal(MaxPool2d(2)(Tensor(X)).numpy(), blocks.max(axis=(3, 5)))
    np.testing.assert_allclose(
        AvgPool2d(2)(Tensor(X)).numpy(), blocks.mean(axis=(3, 5)), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("layer", "op"), [(MaxPool2d, ops.max_pool2d), (AvgPool2d, ops.avg_pool2d)]
)
def test_options_are_passed_on_and_shown(layer, op) -> None:
    module = layer((3, 2), stride=(1, 2), padding=1)
    np.testing.assert_array_equal(module(Tensor(X)).numpy(), op(X, (3, 2), (1, 2), (1, 1)))
    assert module(Tensor(X)).shape == (2, 3, 6, 3)
    assert repr(module) == f"{layer.__name__}(3x2, stride=(1, 2), padding=(1, 1))"
    assert repr(layer(2)) == f"{layer.__name__}(2x2)"
    for options in (
        {"kernel_size": 0},
        {"kernel_size": 2, "stride": 0},
        {"kernel_size": 2, "padding": -1},
    ):
        with pytest.raises(
            ShapeError, match=f"^{layer.__name__}: argument .* expected an integer >="
        ):
            layer(**options)


def test_gaussian() -> None:
    np.testing.assert_array_equal(
        GaussianPool2d(1.5)(Tensor(X)).numpy(), ops.gaussian_pool2d(X, 1.5)
    )
    np.testing.assert_array_equal(GaussianPool2d(1)(Tensor(X)).numpy(), X)
    assert repr(GaussianPool2d((1, 2.5))) == "GaussianPool2d(1 x 2.5)"


@pytest.mark.parametrize("subsampling", [0.5, float("nan"), float("inf"), "2", (1, 2, 3), (1, 0)])
def test_gaussian_rejects_small_subsamplings(subsampling: object) -> None:
    with pytest.raises(
        ShapeError,
        match="GaussianPool2d: argument subsampling expected a number >= 1 or two of them",
    ):
        GaussianPool2d(subsampling)  # type: ignore[arg-type]
