import numpy as np
import pytest

from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import ConfigError, DataError

GREY = DataFormat.of_arrays(np.ones((2, 1, 4, 5), np.float32))


def test_a_shape_without_channels_has_one() -> None:
    assert Reading.of(image_shape=(4, 5)).image_shape == (1, 4, 5)
    assert Reading.of(image_shape=[3, 4, 5]).image_shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (4,)}, r"load: argument image_shape expected \(C, H, W\) or \(H, W\), "),
        ({"image_shape": "3x4"}, "load: argument image_shape expected"),
        ({"image_shape": (0, 4)}, "load: argument image_shape expected"),
        ({"scale": 0}, "load: argument scale expected a finite number > 0, got 0"),
        ({"scale": float("nan")}, "load: argument scale expected a finite number > 0, got nan"),
        ({"scale": "255"}, "load: argument scale expected a finite number > 0, got '255'"),
        ({"resize": (4,)}, r"load: argument resize expected \(H, W\), got \(4,\)"),
        ({"resize": 32}, "load: argument resize expected"),
        ({"resize": (4, 0)}, "load: argument resize expected"),
        ({"crop": True}, "load: argument crop expected a size .*; pass it as argument resize"),
        ({"grey": True, "rgb": True}, "load: argument grey expected False with argument rgb"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        Reading.of(**arguments)


def test_what_the_user_says_precedes_the_format_of_the_training() -> None:
    assert Reading.of(data_format=GREY).expected_shape == (1, 4, 5)
    assert Reading.of(image_shape=(6, 7), data_format=GREY).expected_shape == (1, 6, 7)
    assert Reading.of().with_format(GREY).expected_shape == (1, 4, 5)
    assert Reading.of().expected_shape is None


def test_images_of_another_shape_are_refused() -> None:
    Reading.of().check_shape((1, 2, 3), "a.npz")
    Reading.of(data_format=GREY).check_shape((1, 4, 5), "a.npz")
    for reading, whose in (
        (Reading.of(image_shape=(4, 5)), "as image_shape says"),
        (Reading.of(data_format=GREY), "as those the model was trained on"),
    ):
        with pytest.raises(DataError, match=f"^a.npz: expected images 1x4x5 {whose}, got 1x2x3;"):
            reading.check_shape((1, 2, 3), "a.npz")
