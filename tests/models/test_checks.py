"""Checks of images and labels."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import BackendError, ConfigError, DataError, DTypeError, ShapeError
from tinygrad_ckn.models import checks


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool"])
def test_images_that_are_not_floating_are_refused_with_advice(dtype: str) -> None:
    with pytest.raises(DTypeError, match=rf"^f: .*, got {dtype}; divide them by 255"):
        checks.check_floating("f", np.zeros((1, 1, 2, 2), dtype))


def test_complex_images_are_refused_with_advice() -> None:
    with pytest.raises(DTypeError, match=r"got complex128; pass \.real"):
        checks.check_floating("f", np.zeros((1, 1, 2, 2), complex))


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 1, 4, 4), (2, 3, 4, 4, 1)])
def test_input_of_a_layer_has_its_channels(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"expected images of shape \(N, 3, H, W\), got"):
        checks.check_maps("f", np.zeros(shape), 3)
    checks.check_maps("f", np.zeros((2, 3, 4, 4)), 3)


@pytest.mark.parametrize("layers", [[], "abc", [1, "a"]])
def test_layers_are_a_sequence_of_one_class(layers: object) -> None:
    with pytest.raises(ConfigError, match="expected at least one int and nothing else"):
        checks.check_layers("f", layers, int)
    with pytest.raises(ConfigError, match="got one int; put it in a list"):
        checks.check_layers("f", 3, int)
    checks.check_layers("f", [1, 2], int)


def test_another_device_is_refused() -> None:
    with pytest.raises(BackendError, match=r"argument x expected an array on 'cuda', .* 'cpu'"):
        checks.check_device("f", "x", np.zeros(3), "cuda")
    checks.check_device("f", "x", Tensor(np.zeros(3)), "cpu")


@pytest.mark.parametrize("check", [checks.check_finite, checks.check_results])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_row_that_is_not_finite_is_named(check, bad: float) -> None:
    x = np.zeros((5, 1, 2, 2))
    check("f", x)
    x[3, 0, 1, 1] = x[4, 0, 0, 0] = bad
    with pytest.raises(DataError, match=r"got NaN or infinity (in|for) image 103; "):
        check("f", x, 100)


def test_images_are_checked_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_BLOCK", 2)
    x = np.zeros((5, 1, 2, 2))
    checks.check_finite("f", x)
    x[3:] = np.nan
    with pytest.raises(DataError, match="in image 103; "):
        checks.check_finite("f", x, 100)


def test_images_are_not_copied() -> None:
    x = np.zeros((2, 1, 3, 4), "float32")
    t = Tensor(x)
    assert checks.check_images("f", x, (1, 3, 4)) is x
    assert checks.check_images("f", t, (1, 3, 4)) is t
    assert checks.check_images("f", x.tolist(), (1, 3, 4)).dtype == np.float64


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected shape \(N, 1, 4, 4\), got \(2, 1, 3, 4\)"):
        checks.check_images("f", np.zeros((2, 1, 3, 4)), (1, 4, 4))


@pytest.mark.parametrize(
    "labels", [[1, 0, 2], np.array([1, 0, 2]), Tensor(np.array([1, 0, 2]))], ids=type
)
def test_labels_become_an_array_on_the_host(labels: object) -> None:
    values = checks.host_labels("f", labels, 3, "cpu")
    assert isinstance(values, np.ndarray)
    assert values.tolist() == [1, 0, 2]


@pytest.mark.parametrize("n", [2, 4, 0])
def test_a_wrong_number_of_labels_is_refused(n: int) -> None:
    with pytest.raises(DataError, match=rf"expected one for each of {n} images, n >= 1, got 3"):
        checks.host_labels("f", [1, 0, 2], n, "cpu")
