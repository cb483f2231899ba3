"""Pictures of networks and training runs as PNG files, drawn by matplotlib."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.backend import Generator, Images, default_rng, to_numpy
from tinygrad_ckn.errors import DataError, MissingPackageError, how_to_install
from tinygrad_ckn.files import PathLike, atomic_write
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models import CKN, CKNLayer, Network, nystrom_error
from tinygrad_ckn.models.learning.fit import fit_layer_filters, layer_patches

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120
# Numbers of channels that can be shown as one picture.
_GREY, _RGB = 1, 3
# Colour between tiles: not grey, so that white tiles have an edge.
_FRAME = (0.75, 0.85, 1.0)


def filters(model: Network, path: PathLike | None = None) -> Figure:
    """Draw and return the filters of the first layer as patches, each scaled to its range.

    Parameters
    ----------
    model
        Its first layer has weights (p, C, kh, kw). C = 1 gives grey tiles and C = 3
        coloured tiles, one per filter; otherwise each channel is a grey tile, and each
        filter a column of them.
    path
        The PNG file, written or replaced; None: no file.

    Returns
    -------
    matplotlib.figure.Figure
        A notebook shows it.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tinygrad_ckn.models import build
    >>> model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     figure = filters(model, f"{folder}/filters.png")
    ...     Path(folder, "filters.png").read_bytes()[1:4]
    b'PNG'
    """
    mosaic = filter_mosaic(model)
    p, c, kh, kw = model.layers[0].weight.shape
    by_channel = c not in (_GREY, _RGB)
    height, width = mosaic.shape[:2]
    columns = (width - 1) // (kw + 1)
    inches = min(10.0, max(4.5, 0.4 * columns))
    figure = _figure(inches, min(20.0, inches * height / width + 0.7))
    axes = figure.subplots()
    axes.imshow(mosaic, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    channels = {_GREY: "grey", _RGB: "colour"}.get(c, f"{c} channels")
    axes.set_title(f"Layer 1: {p} filters of {kh} x {kw}, {channels}", fontsize="medium")
    if by_channel:
        axes.set_xlabel("filter")
        axes.set_ylabel("channel")
    return _saved(figure, path)


def filter_mosaic(model: Network) -> NDArray[Any]:
    """Return the filters of the first layer as one picture (H, W, 3), 0 .. 1.

    The tiles are those of `filters`; matplotlib is not needed.
    """
    weight = to_numpy(unwrap(model.layers[0].weight))
    p, c, kh, kw = weight.shape
    by_channel = c not in (_GREY, _RGB)
    scaled = _scaled(weight, axis=(2, 3) if by_channel else (1, 2, 3))
    if by_channel:
        return _mosaic(scaled.swapaxes(0, 1).reshape(c * p, kh, kw, _GREY), p)
    return _mosaic(scaled.transpose(0, 2, 3, 1), min(p, 16 if p <= 256 else 32))


def nystrom_errors(
    model: CKN,
    images: Images,
    sizes: Sequence[int],
    path: PathLike,
    *,
    n_patches: int = 20_000,
    iterations: int = 10,
    rng: Generator | int | None = None,
) -> list[list[float]]:
    """Draw and return the Nyström error of each layer against its number of filters.

    For each layer and size, filters are learned by spherical k-means on patches of the
    layer's input, computed by the layers below it from the first half of the images;
    `nystrom_error` is then measured on patches of the second half.

    Parameters
    ----------
    model
        Not changed; its preprocessing must be fitted.
    images
        (N, C, H, W), floats, N >= 2, in random order.
    sizes
        Numbers of filters, each a multiple of the layers' groups.
    path
        The PNG file, written or replaced.
    n_patches, iterations
        For k-means; errors are measured on `n_patches` patches too.
    rng
        Generator or seed; None: the package's, see `manual_seed`.

    Returns
    -------
    list of list of float
        Errors by layer, then by size.

    Raises
    ------
    DataError
        If there are fewer distinct patches than filters, or only one image.
    ConfigError, ShapeError
        If a size is not an integer, or the images are not of the model's size.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from tinygrad_ckn.models import build
    >>> model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10)
    >>> images = np.random.default_rng(0).random((50, 1, 8, 8), dtype="float32")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/errors.png"
    ...     first, second = nystrom_errors(model, images, [2, 8], path, n_patches=500)
    >>> first[0] > first[1], second[0] > second[1]
    (True, True)
    """
    figure = _figure(6, 4)
    random = default_rng(rng)
    prepared = model.preprocess(model._check_training_images(images))
    half = len(prepared) // 2
    if not half:
        raise DataError(
            "nystrom_errors: argument images expected two or more, to learn from and measure on, "
            f"got {len(prepared)}"
        )
    errors = []
    for i, layer in enumerate(model.layers):
        training, test = (
            layer_patches(model.layers, i, part, n_patches, random)
            for part in (prepared[:half], prepared[half:])
        )
        errors.append(
            [_error(layer, size, training.copy(), test, iterations, random) for size in sizes]
        )
    _draw_errors(figure.subplots(), model, sizes, errors)
    _saved(figure, path)
    return errors


def comparison(results: Mapping[str, Mapping[str, Any]], path: PathLike | None = None) -> Figure:
    """Draw and return training runs side by side: accuracy by epoch, test error, time.

    After its last epoch a model's classifier is fitted again, on all training images.
    The test accuracy is that of the new classifier, and may differ considerably from
    the end of the curves: it is drawn as a star after them, joined by a dotted line.

    Parameters
    ----------
    results
        By name: "accuracy" on the test images, "seconds", and "epochs", a list of
        records with "train_accuracy" and, if there was a validation set,
        "validation_accuracy".
    path
        The PNG file, written or replaced; None: no file.

    Returns
    -------
    matplotlib.figure.Figure
        A notebook shows it.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> epochs = [{"train_accuracy": 0.5, "validation_accuracy": 0.4}, {"train_accuracy": 0.9}]
    >>> results = {"ckn5": {"accuracy": 0.9, "seconds": 3.0, "epochs": epochs}}
    >>> len(comparison(results).axes)
    3
    """
    figure = _figure(11, max(4.0, 2.5 + 0.35 * len(results)))
    curves, errors, seconds = figure.subplots(1, 3, width_ratios=[2, 1, 1])
    colours = {name: f"C{i}" for i, name in enumerate(results)}
    for name, result in results.items():
        if result["epochs"]:
            _draw_curves(curves, name, result, colours[name])
    if curves.lines:
        curves.legend(fontsize="small")
        curves.xaxis.get_major_locator().set_params(integer=True)
        curves.set_xlabel("epoch")
        curves.set_ylabel("accuracy")
        curves.set_title("Accuracy during training", fontsize="medium")
        curves.grid(alpha=0.3)
    else:
        curves.set_axis_off()
        message = "no epochs:\nno model was trained by descent"
        curves.text(0.5, 0.5, message, ha="center", transform=curves.transAxes)
    accuracies = [result["accuracy"] for result in results.values()]
    percents = {name: 100 * (1 - a) for name, a in zip(results, accuracies, strict=True)}
    _draw_bars(errors, percents, [f"{a:.4f}" for a in accuracies], list(colours.values()))
    errors.set_title("Test error in %, and accuracy", fontsize="medium")
    times = {name: result["seconds"] for name, result in results.items()}
    _draw_bars(seconds, times, [f"{t:.1f}" for t in times.values()], list(colours.values()))
    seconds.set_title("Time in seconds", fontsize="medium")
    seconds.set_yticks([])
    return _saved(figure, path)


def last_epoch(epochs: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the last validation, else training, accuracy; None without epochs."""
    last: Mapping[str, float] = epochs[-1] if epochs else {}
    return last.get("validation_accuracy", last.get("train_accuracy"))


def _error(
    layer: CKNLayer,
    size: int,
    training: NDArray[Any],
    test: NDArray[Any],
    iterations: int,
    rng: Generator,
) -> float:
    """Return the error of a layer with `size` filters on test patches."""
    twin = CKNLayer(**{**layer.config(), "n_filters": size}, rng=0).to(layer.weight.device).eval()
    fit_layer_filters(twin, training, iterations, rng)
    return nystrom_error(twin, test)


def _draw_errors(
    axes: Any, model: CKN, sizes: Sequence[int], errors: Sequence[Sequence[float]]
) -> None:
    """Draw a curve for each layer."""
    for i, (layer, of_layer) in enumerate(zip(model.layers, errors, strict=True), start=1):
        kh, kw = layer.kernel_size
        label = f"layer {i}: {kh} x {kw} x {layer.in_channels}, {layer.kernel}"
        axes.plot(sizes, of_layer, marker="o", label=label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel("filters")
    axes.set_ylabel("share of the kernel's trace that is missed")
    axes.set_title("Nyström error on patches of images not learned from", fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _draw_curves(curves: Any, name: str, result: Mapping[str, Any], colour: str) -> None:
    """Draw accuracies by epoch, and the test accuracy after the last epoch."""
    epochs = result["epochs"]
    for key, style, title in (("train", "-", "training"), ("validation", "--", "validation")):
        points = [
            (i, epoch[f"{key}_accuracy"])
            for i, epoch in enumerate(epochs, start=1)
            if f"{key}_accuracy" in epoch
        ]
        if points:
            label = f"{name}, {title}"
            curves.plot(*zip(*points, strict=True), style, color=colour, marker=".", label=label)
    end = last_epoch(epochs)
    test = result["accuracy"]
    if end is not None:
        curves.plot([len(epochs)] * 2, [end, test], ":", color=colour, linewidth=1)
    label = f"{name}, test, classifier fitted again"
    curves.plot(len(epochs), test, "*", color=colour, markersize=11, label=label)


def _draw_bars(
    axes: Any, values: Mapping[str, float], labels: Sequence[str], colours: Sequence[str]
) -> None:
    """Draw a horizontal bar for each name, the first at the top."""
    bars = axes.barh(list(values), list(values.values()), height=0.6, color=colours)
    axes.bar_label(bars, labels, padding=3, fontsize="small")
    axes.set_xlim(0, 1.35 * max(values.values()) or 1)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def _scaled(x: NDArray[Any], axis: tuple[int, ...]) -> NDArray[Any]:
    """Return x scaled to 0 .. 1 along the axes; equal values become 0.5."""
    low = x.min(axis=axis, keepdims=True)
    span = x.max(axis=axis, keepdims=True) - low
    return np.where(span > 0, (x - low) / np.where(span > 0, span, 1), 0.5)


def _mosaic(tiles: NDArray[Any], columns: int) -> NDArray[Any]:
    """Return tiles (n, h, w, 1 or 3) in rows as a colour image (H, W, 3)."""
    n, h, w, _ = tiles.shape
    rows = math.ceil(n / columns)
    image = np.full((rows * (h + 1) + 1, columns * (w + 1) + 1, _RGB), _FRAME)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        top = row * (h + 1) + 1
        left = column * (w + 1) + 1
        image[top : top + h, left : left + w] = tile
    return image


def _figure(width: float, height: float) -> Figure:
    """Return an empty matplotlib figure; sizes in inches."""
    try:
        from matplotlib.figure import Figure as Drawn
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"plots: expected matplotlib to draw a picture, got no such package; "
            f"{how_to_install('plots')}"
        ) from error
    return Drawn(figsize=(width, height), dpi=DPI, layout="constrained")


def _saved(figure: Figure, path: PathLike | None) -> Figure:
    """Return a figure, written as a PNG file; equal pictures give equal bytes."""
    if path is not None:
        content = io.BytesIO()
        figure.savefig(content, format="png", metadata={"Software": None})
        atomic_write(path, content.getvalue())
    return figure
