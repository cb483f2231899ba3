"""Sizes, colours and places in pictures that are read back."""

import re
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from tinygrad_ckn import plots
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import DataError, MissingPackageError, how_to_install
from tinygrad_ckn.models import (
    CKN,
    CNN,
    CKNLayer,
    ConvLayer,
    build,
    nystrom_error,
    sample_patches,
    spherical_kmeans,
)

FRAME = np.round(np.array([0.75, 0.85, 1.0]) * 255)


def read(path: Path) -> np.ndarray:
    """Return the colours of a picture, (H, W, 3), 0 .. 255."""
    return np.round(matplotlib.image.imread(path)[..., :3] * 255)


def tiles_of(picture: np.ndarray) -> tuple[int, int]:
    """Return the number of tiles in a column and in a row."""
    inside = (np.abs(picture - FRAME).max(axis=2) < 3).nonzero()
    framed = picture[inside[0].min() : inside[0].max() + 1, inside[1].min() : inside[1].max() + 1]
    lines = np.abs(framed - FRAME).max(axis=2) < 40
    rows, columns = lines.mean(axis=1) > 0.95, lines.mean(axis=0) > 0.95
    return int((np.diff(rows.astype(int)) == -1).sum()), int(
        (np.diff(columns.astype(int)) == -1).sum()
    )


def network(channels: int, n_filters: int, kernel_size: int = 3) -> CNN:
    return CNN(channels, 8, 2, [ConvLayer(channels, n_filters, kernel_size, rng=0)])


@pytest.mark.parametrize(
    ("channels", "n_filters", "tiles"),
    [
        (1, 5, (1, 5)),
        (1, 32, (2, 16)),
        (3, 40, (3, 16)),
        (3, 300, (10, 32)),
        (2, 6, (2, 6)),
        (12, 32, (12, 32)),
    ],
)
def test_there_is_a_tile_for_each_filter_or_channel(
    channels: int, n_filters: int, tiles: tuple[int, int], tmp_path: Path
):
    plots.filters(network(channels, n_filters), tmp_path / "filters.png")
    assert tiles_of(read(tmp_path / "filters.png")) == tiles


def mosaic_of(model: CNN | CKN, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> np.ndarray:
    """Return the mosaic that `filters` draws."""
    made = []
    original = plots._mosaic

    def noted(*args: object) -> np.ndarray:
        made.append(original(*args))
        return made[0]

    monkeypatch.setattr(plots, "_mosaic", noted)
    plots.filters(model, tmp_path / "filters.png")
    return made[0]


@pytest.mark.parametrize("kind", [ConvLayer, CKNLayer])
def test_a_colour_tile_is_its_filter_from_minimum_to_maximum(
    kind: type, monkeypatch, tmp_path: Path
):
    model = (CNN if kind is ConvLayer else CKN)(3, 8, 2, [kind(3, 20, (2, 3), rng=0)])
    mosaic = mosaic_of(model, monkeypatch, tmp_path)
    assert mosaic.shape == (2 * 3 + 1, 16 * 4 + 1, 3)
    for number, filter_ in enumerate(model.layers[0].weight.numpy()):
        top, left = number // 16 * 3 + 1, number % 16 * 4 + 1
        expected = (filter_ - filter_.min()) / (filter_.max() - filter_.min())
        np.testing.assert_allclose(
            mosaic[top : top + 2, left : left + 3], expected.transpose(1, 2, 0), atol=1e-6
        )
    np.testing.assert_array_equal(
        mosaic[4:, 4 * 4 + 1 :], np.broadcast_to(plots._FRAME, (3, 48, 3))
    )


def test_channels_that_are_not_colours_are_separate_grey_tiles(monkeypatch, tmp_path: Path):
    model = network(2, 4, 2)
    mosaic = mosaic_of(model, monkeypatch, tmp_path)
    assert mosaic.shape == (2 * 3 + 1, 4 * 3 + 1, 3)
    weight = model.layers[0].weight.numpy()
    for number, channel in np.ndindex(4, 2):
        tile = mosaic[channel * 3 + 1 : channel * 3 + 3, number * 3 + 1 : number * 3 + 3]
        values = weight[number, channel]
        expected = (values - values.min()) / (values.max() - values.min())
        np.testing.assert_allclose(tile, np.repeat(expected[:, :, None], 3, axis=2), atol=1e-6)


def test_a_filter_of_one_value_is_grey(monkeypatch, tmp_path: Path):
    mosaic = mosaic_of(network(1, 2, 1), monkeypatch, tmp_path)
    np.testing.assert_array_equal(mosaic[1, [1, 3]], np.full((2, 3), 0.5))


def test_the_same_filters_give_the_same_bytes(tmp_path: Path):
    contents = set()
    for name in ("a", "b"):
        plots.filters(network(3, 8), tmp_path / name)
        contents.add((tmp_path / name).read_bytes())
    assert len(contents) == 1
    plots.filters(network(3, 9), tmp_path / "c")
    assert (tmp_path / "c").read_bytes() not in contents
    assert (
        b"Software" not in (tmp_path / "a").read_bytes()
    )  # the version of matplotlib makes no difference


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return load_digits().train.images[:100]


def test_nystrom_errors_are_those_of_filters_learned_for_each_size(
    digits: np.ndarray, tmp_path: Path
):
    model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10, rng=0)
    before = model.state_dict()
    path = tmp_path / "errors.png"
    errors = plots.nystrom_errors(
        model, digits, [2, 8, 32], path, n_patches=1000, iterations=3, rng=1
    )
    assert all((model.state_dict()[name] == array).all() for name, array in before.items())
    rng = np.random.default_rng(1)
    first = model.layers[0]
    learned, other = (
        sample_patches(half, first, 1000, rng=rng) for half in (digits[:50], digits[50:])
    )
    for size, error in zip((2, 8, 32), errors[0], strict=True):
        layer = CKNLayer(1, size, 3, kernel=first.kernel)
        layer.set_filters(spherical_kmeans(learned, size, iterations=3, rng=rng).centroids)
        assert error == pytest.approx(nystrom_error(layer, other), rel=1e-5)
    assert len(errors) == 2
    for of_layer in errors:
        assert 1 > of_layer[0] > of_layer[1] > of_layer[2] > 0
    picture = read(path)
    assert picture.shape == (480, 720, 3)
    for colour in (
        [31, 119, 180],
        [255, 127, 14],
    ):
        # the first two of matplotlib's cycle: a line for each layer
        assert (np.abs(picture - colour).max(axis=2) < 3).sum() > 500


def test_nystrom_errors_leave_patches_of_centred_layers_alone(digits: np.ndarray, tmp_path: Path):
    model = CKN(1, 8, 2, [CKNLayer(1, 4, 3, center=True, padding="valid", rng=0)])
    one, again = (
        plots.nystrom_errors(model, digits + 3, sizes, tmp_path / "e.png", n_patches=500, rng=0)[0]
        for sizes in ([8, 8, 8], [8])
    )
    assert one[0] == again[0]
    # a second centring would change them
    assert max(one) < 1.2 * min(one)


def test_one_image_is_not_enough_for_nystrom_errors(digits: np.ndarray, tmp_path: Path):
    model = CKN(1, 8, 2, [CKNLayer(1, 4, 3, rng=0)])
    with pytest.raises(
        DataError, match=r"nystrom_errors: argument images expected two or more, .* got 1"
    ):
        plots.nystrom_errors(model, digits[:1], [4], tmp_path / "e.png")
    assert not (tmp_path / "e.png").exists()


def test_too_many_filters_are_refused(digits: np.ndarray, tmp_path: Path):
    model = CKN(1, 8, 2, [CKNLayer(1, 4, 3, rng=0)])
    with pytest.raises(DataError, match="spherical_kmeans: expected at least 100 distinct"):
        plots.nystrom_errors(model, digits, [100], tmp_path / "e.png", n_patches=50, rng=0)
    assert not (tmp_path / "e.png").exists()


EPOCHS = [{"train_accuracy": 0.1 * i, "validation_accuracy": 0.08 * i} for i in range(1, 10)]


@pytest.mark.parametrize("accuracy", [0.5, 1.0])
def test_a_comparison_has_a_colour_for_each_model(accuracy: float, tmp_path: Path):
    results = {
        name: {"accuracy": accuracy, "seconds": 3.0, "epochs": EPOCHS[i:]}
        for i, name in enumerate("abc")
    }
    plots.comparison(results, tmp_path / "c.png")
    picture = read(tmp_path / "c.png")
    assert picture.shape == (480, 1320, 3)
    for colour in ([31, 119, 180], [255, 127, 14], [44, 160, 44]):
        like = np.abs(picture - colour).max(axis=2) < 3
        # curves
        assert like[:, :600].sum() > 200
        # time
        assert like[:, 1050:].sum() > 5000
        # errors
        assert (like[:, 740:1000].sum() > 5000) == (accuracy < 1)


def test_a_comparison_marks_the_test_accuracy_of_the_classifier_fitted_again():
    epochs = [
        {"train_accuracy": 0.5, "validation_accuracy": 0.4},
        {"train_accuracy": 0.2, "validation_accuracy": 0.3},
    ]
    results = {
        "lenet": {"accuracy": 0.978, "seconds": 3.0, "epochs": epochs},
        "ckn5": {"accuracy": 0.9, "seconds": 3.0, "epochs": [{"train_accuracy": 0.7}]},
        "unsup-32-64": {"accuracy": 0.99, "seconds": 3.0, "epochs": []},
    }
    curves: Any = plots.comparison(results).axes[0]
    named = {line.get_label(): line.get_xydata().tolist() for line in curves.lines}
    assert named["lenet, test, classifier fitted again"] == [[2, 0.978]]
    assert named["ckn5, test, classifier fitted again"] == [[1, 0.9]]
    joined = [line.get_xydata().tolist() for line in curves.lines if line.get_linestyle() == ":"]
    assert joined == [[[2, 0.3], [2, 0.978]], [[1, 0.7], [1, 0.9]]]
    written = [text.get_text() for text in curves.get_legend().get_texts()]
    assert [text for text in written if "again" in text] == [
        f"{name}, test, classifier fitted again" for name in ("lenet", "ckn5")
    ]


def test_without_epochs_a_comparison_says_so(tmp_path: Path):
    results = {name: {"accuracy": 0.9, "seconds": 3.0, "epochs": []} for name in ("one", "other")}
    plots.comparison(results, tmp_path / "c.png")
    curves = read(tmp_path / "c.png")[:, :580]
    # two lines of text, no axes
    assert 0.001 < (curves.max(axis=2) < 128).mean() < 0.05


def test_many_models_make_a_higher_picture(tmp_path: Path):
    results = {f"model {i}": {"accuracy": 0.9, "seconds": i + 1.0, "epochs": []} for i in range(10)}
    plots.comparison(results, tmp_path / "c.png")
    assert read(tmp_path / "c.png").shape[0] == 720


def test_without_matplotlib_a_picture_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    message = (
        "plots: expected matplotlib to draw a picture, got no such package; "
        f"{how_to_install('plots')}"
    )
    for draw in (
        lambda path: plots.filters(network(1, 5), path),
        lambda path: plots.comparison({}, path),
        lambda path: plots.nystrom_errors(network(1, 5), np.ones((2, 1, 8, 8)), [4], path),
    ):
        with pytest.raises(MissingPackageError, match=f"^{re.escape(message)}$"):
            draw(tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []
