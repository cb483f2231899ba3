import numpy as np
import pandas as pd
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.data import from_arrays
from tinygrad_ckn.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
LABELS = np.arange(20) % 4
EXPECTED = PIXELS[:, np.newaxis].astype(np.float32) / np.float32(255)


class WithArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


class WithDLPack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Elsewhere(WithDLPack):
    def __dlpack__(self, **options):
        raise BufferError("on a GPU")


@pytest.mark.parametrize(
    "of", [np.asarray, WithArray, WithDLPack, lambda a: a.tolist()], ids=lambda f: f.__name__
)
def test_images_and_labels_of_any_library(of):
    data = from_arrays(of(PIXELS), of(LABELS), of(PIXELS[:8]), of(LABELS[:8]))
    np.testing.assert_array_equal(data.train.images, EXPECTED)
    np.testing.assert_array_equal(data.test.images, EXPECTED[:8])
    assert data.train.labels.tolist() == LABELS.tolist()
    assert data.n_classes == 4


def test_a_data_frame_and_a_series():
    frame = pd.DataFrame(PIXELS.reshape(20, -1))
    names = pd.Series(list("abcd") * 5)
    data = from_arrays(frame, names, frame, names, image_shape=(8, 8))
    np.testing.assert_array_equal(data.train.images, EXPECTED)
    assert data.class_names == tuple("abcd")


@pytest.mark.parametrize("of", ["labels", "groups"])
def test_rows_of_pandas_objects_in_another_order_are_refused(of: str):
    frame = pd.DataFrame(PIXELS.reshape(20, -1))
    given = {"labels": pd.Series(LABELS), "groups": pd.Series(LABELS // 2)}
    shuffled = given | {of: given[of].sample(frac=1, random_state=0)}
    with pytest.raises(DataError, match=f"argument {of} expected the order of the images, got th"):
        from_arrays(frame, **shuffled, image_shape=(8, 8))
    # A column of its own has an index of its own.
    for index in (range(20, 40), list("abcdefghijklmnopqrst")):
        given[of].index = pd.Index(index)
        assert len(from_arrays(frame, **given, image_shape=(8, 8), holdout=0).train) == 20


def test_a_tensor_is_not_shared():
    images = Tensor(EXPECTED)
    data = from_arrays(images, LABELS, images, LABELS, name="mine", class_names=list("wxyz"))
    assert not np.may_share_memory(data.train.images, images.numpy())
    assert (data.name, data.class_names) == ("mine", tuple("wxyz"))


def test_a_test_part_is_held_out():
    data = from_arrays(PIXELS, LABELS)
    assert (len(data.train), len(data.test)) == (16, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PIXELS, LABELS[:5]), "argument labels expected 20 labels, one per image, got 5"),
        ((PIXELS, LABELS, PIXELS), "argument test_labels expected both"),
        ((Elsewhere(PIXELS), LABELS), "argument images expected an array in host memory, got El"),
        ((pd.DataFrame({"a": ["x", "y"]}), [0, 1]), "argument images"),
        (([[1, 2], [3]], [0, 1]), "argument images expected an array"),
    ],
)
def test_wrong_arrays(arguments, message):
    with pytest.raises(DataError, match=message):
        from_arrays(*arguments)


def test_groups_and_the_share_held_out():
    images, labels = np.arange(1600).reshape(40, 40) % 251, np.arange(40) % 2
    dataset = from_arrays(
        images, labels, groups=[f"s{i // 4}" for i in range(40)], holdout=0.4, image_shape=(5, 8)
    )
    assert dataset.test is not None
    assert not set(dataset.train.groups) & set(dataset.test.groups)
    assert (len(dataset.train), len(dataset.test)) == (24, 16)
    assert from_arrays(images, labels, holdout=0, image_shape=(5, 8)).test is None
    with pytest.raises(DataError, match=r"expected groups of shape \(40,\), one per image, got"):
        from_arrays(images, labels, groups=[1, 2], image_shape=(5, 8))
