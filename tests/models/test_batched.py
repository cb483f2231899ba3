"""Encoding to arrays and files, and classifiers on features in a file."""

import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, GradientError, ShapeError
from tinygrad_ckn.models import CKN, CKNLayer, build
from tinygrad_ckn.models import batched as encoding


def small(dtype: str = "float32") -> CKN:
    layers = [
        CKNLayer(2, 4, 3, subsampling=2, rng=0, dtype=dtype),
        CKNLayer(4, 5, 3, rng=1, dtype=dtype),
    ]
    return CKN(2, 8, 3, layers, rng=2)


def images(n: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(0).random((n, 2, 8, 8)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [None, 1, 7, 100])
def test_features_are_those_of_the_layers(dtype: str, batch_size: int | None) -> None:
    model, x = small(dtype), images(20, dtype)
    expected = model.layers[1](model.layers[0](Tensor(x))).numpy().reshape(20, -1)
    found = model.encode(x, batch_size=batch_size)
    assert (found.dtype, type(found)) == (dtype, np.ndarray)
    np.testing.assert_allclose(found, expected, rtol=1e-4 if dtype == "float32" else 1e-11)


def test_an_array_is_filled_and_returned() -> None:
    model, x = small(), images(9)
    out = np.full((9, model.classifier.in_features), np.nan, "float32")
    assert model.encode(x, out, batch_size=4) is out
    np.testing.assert_array_equal(out, model.encode(x, batch_size=4))


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_is_written_anew_and_returned_memory_mapped(kind: type, tmp_path: Path) -> None:
    model, x = small(), images(9)
    path = tmp_path / "features.npy"
    path.write_text("something else")
    found = model.encode(x, kind(path), batch_size=4)
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(np.load(path), model.encode(x, batch_size=4))
    np.testing.assert_array_equal(found, np.load(path))


def test_nothing_is_left_of_a_file_that_was_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small()
    through, calls = CKN.features, []

    def failing(self: CKN, x: np.ndarray) -> Tensor:
        calls.append(len(x))
        if len(calls) == 2:
            raise GradientError("stop")
        return through(self, x)

    monkeypatch.setattr(CKN, "features", failing)
    with pytest.raises(GradientError, match="stop"):
        model.encode(images(9), tmp_path / "features.npy", batch_size=4)
    assert calls == [4, 4]
    assert list(tmp_path.iterdir()) == []
    assert model.training


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_in_a_file_and_of_another_dtype_are_taken_some_at_a_time(
    dtype: str, tmp_path: Path
) -> None:
    model, x = small(), images(2000).astype(dtype)
    np.save(tmp_path / "images.npy", x)
    given = np.load(tmp_path / "images.npy", mmap_mode="r")
    out = np.empty((2000, model.classifier.in_features), "float32")
    model.encode(given[:50], out[:50], batch_size=50)
    tracemalloc.start()
    model.encode(given, out, batch_size=50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 2
    np.testing.assert_array_equal(out, model.encode(x, batch_size=50))


def test_the_mode_is_eval_meanwhile_and_what_it_was_afterwards() -> None:
    for training in (True, False):
        model = small().train(training)
        # assigned: it may be used
        model.classifier.weight.data = model.classifier.weight.data
        model.encode(images(2))
        model.scores(images(2))
        assert model.training == training
        assert all(layer.training == training for layer in model.layers)


def test_scores_need_no_features_of_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = small("float64").eval(), images(30, "float64")
    expected = model.encode(x) @ model.classifier.weight.numpy().T + model.classifier.bias.numpy()
    monkeypatch.setattr(
        encoding, "image_blocks", lambda n, elements, limit=None: [slice(0, 10), slice(10, 30)]
    )
    through, sizes = CKN.features, []
    monkeypatch.setattr(CKN, "features", lambda self, x: sizes.append(len(x)) or through(self, x))
    np.testing.assert_allclose(model.scores(x), expected, rtol=1e-12)
    assert sizes == [10, 20]


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_batch_sizes_out_of_range_are_refused(batch_size: object) -> None:
    message = rf"^encode: argument batch_size expected an integer >= 1 or None, got {batch_size}$"
    with pytest.raises(ConfigError, match=message):
        small().encode(images(2), batch_size=batch_size)


@pytest.mark.parametrize(
    ("out", "got"),
    [
        (np.ones((2, 79), "float32"), r"float32 of shape \(2, 79\)"),
        (np.ones((3, 80), "float32"), r"float32 of shape \(3, 80\)"),
        (np.ones((2, 80)), r"float64 of shape \(2, 80\)"),
        ([], "list"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(out: object, got: str) -> None:
    message = r"^encode: argument out expected a path or an array of shape \(2, 80\), float32, got "
    with pytest.raises(ShapeError, match=message + got):
        small().encode(images(2), out)


def test_a_file_is_not_made_for_images_that_are_refused(tmp_path: Path) -> None:
    for error, x in (
        (ShapeError, images(2)[:, :1]),
        (DTypeError, images(2).astype(int)),
        (ShapeError, images(0)),
    ):
        with pytest.raises(error):
            small().encode(x, tmp_path / "features.npy")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_there_is_untouched_if_something_fails_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "features.npy"
    expected = small().encode(images(2), path).copy()
    x = images(9)
    x[7, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="NaN or infinity in image 7"):
        small().encode(x, path, batch_size=2)
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(np.load(path), expected)


def test_features_beyond_the_memory_go_to_a_file_and_change_no_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, labels = images(60), np.arange(60) % 3
    made: list[object] = []
    temporary = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: made.append(temporary()) or made[-1])
    inside, outside = small(), small()
    inside.fit_classifier(x, labels, memory=60 * 80 * 4, rng=0)
    assert made == []
    outside.fit_classifier(x, labels, memory=60 * 80 * 4 - 1, rng=0)
    assert len(made) == 1
    np.testing.assert_array_equal(
        outside.classifier.weight.numpy(), inside.classifier.weight.numpy()
    )


def test_nan_is_named_with_the_number_of_the_image_whatever_the_blocks() -> None:
    x = images(9)
    x[7, 0, 0, 0] = np.nan
    for use in (
        lambda: small().encode(x, batch_size=2),
        lambda: small().eval().predict(x),
        lambda: small().features(x),
    ):
        with pytest.raises(DataError, match="NaN or infinity in image 7; leave it out"):
            use()


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-21, 1e15, 1e19, 1e30, 1e37])
def test_features_are_homogeneous_in_the_images(scale):
    model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10, rng=0).eval()
    x = np.random.default_rng(0).random((5, 1, 8, 8), dtype=np.float32)
    scaled = (x.astype("float64") * scale).astype("float32")
    expected = model.encode(x).astype("float64")
    loose = 1e-5 if scale > 1e-36 else 1e-44 / scale * 50
    np.testing.assert_allclose(
        model.encode(scaled).astype("float64") / scale, expected, atol=loose * expected.max()
    )


@pytest.mark.parametrize("ask", ["encode", "scores", "predict"])
def test_what_overflows_is_refused_and_no_class(ask):
    model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10, rng=0).eval()
    x = np.ones((3, 1, 8, 8), "float32")
    x[1] = 3e38
    with pytest.raises(
        DataError, match="expected finite results for all images, got NaN or infinity for image 1"
    ):
        getattr(model, ask)(x)
    model.classifier.weight.data = np.full_like(model.classifier.weight.data, np.nan)
    if ask != "encode":
        with pytest.raises(DataError, match="check the model's weights"):
            getattr(model, ask)(x[:1])
