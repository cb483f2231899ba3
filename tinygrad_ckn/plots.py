"""Pictures of networks and of trainings, written as PNG files; nothing is shown, and nothing of pyplot is touched."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_ckn.backend import CPU, Generator, default_rng, to_numpy
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import PathLike, atomic_write
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models import CKN, CKNLayer, Network, nystrom_error
from tinygrad_ckn.models.learning.fit import fit_layer_filters, layer_patches

DPI = 120
# channels of images that can be shown
_GREY, _RGB = 1, 3
_FRAME = (
    0.75,
    0.85,
    1.0,
)  # red, green, blue of what lies between tiles: no grey, so that white ones have an edge


def filters(model: Network, path: PathLike) -> None:
    """Draw the filters of the first layer as image patches, each from its own least value to its largest.

    Parameters
    ----------
    model
        Whose first layer has weights (p, C, kh, kw): C = 1 gives grey tiles, C = 3
        coloured ones, in order of the filters; of others the channels are grey tiles, a
        column a filter.
    path
        The PNG file, written or replaced.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tinygrad_ckn.models import build
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     filters(build("unsup-32-64", in_channels=1, image_size=8, n_classes=10), f"{folder}/filters.png")
    ...     Path(folder, "filters.png").read_bytes()[1:4]
    b'PNG'
    """
    weight = to_numpy(unwrap(model.layers[0].weight))
    p, c, kh, kw = weight.shape
    by_channel = c not in (_GREY, _RGB)
    scaled = _scaled(weight, axis=(2, 3) if by_channel else (1, 2, 3))
    if by_channel:
        tiles, columns = scaled.swapaxes(0, 1).reshape(c * p, kh, kw, _GREY), p
    else:
        tiles, columns = scaled.transpose(0, 2, 3, 1), min(p, 16 if p <= 256 else 32)
    mosaic = _mosaic(tiles, columns)
    height, width = mosaic.shape[:2]
    # inches
    across = min(10.0, max(4.5, 0.4 * columns))
    figure = _figure(across, min(20.0, across * height / width + 0.7))
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
    _save(figure, path)


def nystrom_errors(
    model: CKN,
    images: Any,
    sizes: Sequence[int],
    path: PathLike,
    *,
    n_patches: int = 20_000,
    iterations: int = 10,
    rng: Generator | int | None = None,
) -> list[list[float]]:
    """Draw how much of each layer's kernel is missed, against the number of filters; return it, a list for a layer.

    For each layer and size, filters are learned by spherical k-means on patches of the
    layer's input, such as the layers below it, as they are, make of the first half of
    the images; `nystrom_error` is then measured on patches of the second half.

    Parameters
    ----------
    model
        Left as it is; its preprocessing must be fitted.
    images
        (N, C, H, W), floats, N >= 2, in random order.
    sizes
        Numbers of filters, each a multiple of the layers' groups.
    path
        The PNG file, written or replaced.
    n_patches, iterations
        For k-means, and as many patches to measure on.
    rng
        Generator or seed; None: the package's, see `manual_seed`.

    Raises
    ------
    DataError
        If there are fewer distinct patches than filters, or there is one image only.
    ConfigError, ShapeError
        If a size is not an integer, or the images are not of the model's size.

    Examples
    --------
    >>> import tempfile
    >>> from tinygrad_ckn.models import build
    >>> model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10)
    >>> images = np.random.default_rng(0).random((50, 1, 8, 8), dtype="float32")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first, second = nystrom_errors(model, images, [2, 8], f"{folder}/errors.png", n_patches=500)
    >>> first[0] > first[1], second[0] > second[1]
    (True, True)
    """
    random = default_rng(rng)
    prepared = model.preprocess(model.training_images(images))
    half = len(prepared) // 2
    if not half:
        raise DataError(
            f"nystrom_errors: argument images expected two or more, to learn from and measure on, got {len(prepared)}"
        )
    errors = []
    for i, layer in enumerate(model.layers):
        learned, other = (
            layer_patches(model, i, part, n_patches, random)
            for part in (prepared[:half], prepared[half:])
        )
        errors.append(
            [_error(layer, size, learned.copy(), other, iterations, random) for size in sizes]
        )
    figure = _figure(6, 4)
    axes = figure.subplots()
    for i, (layer, of_layer) in enumerate(zip(model.layers, errors, strict=True)):
        kh, kw = layer.kernel_size
        axes.plot(
            sizes,
            of_layer,
            marker="o",
            label=f"layer {i + 1}: {kh} x {kw} x {layer.in_channels}, {layer.kernel}",
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel("filters")
    axes.set_ylabel("share of the kernel's trace that is missed")
    axes.set_title("Nyström error on patches of images not learned from", fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    _save(figure, path)
    return errors


def _error(
    layer: CKNLayer, size: int, learned: Any, other: Any, iterations: int, rng: Generator
) -> float:
    """Return the error of a layer like another, with so many filters, learned on some patches, on others."""
    twin = CKNLayer(**{**layer.config(), "n_filters": size}, rng=0).to(layer.weight.device).eval()
    fit_layer_filters(twin, learned, iterations, rng)
    return nystrom_error(twin, other)


def comparison(results: Mapping[str, Mapping[str, Any]], path: PathLike) -> None:
    """Draw trainings side by side: accuracy by epoch, test error, time.

    After its last epoch a model's classifier is fitted again, on all training images.
    The test accuracy is that of the new classifier, and may lie far from the end of the
    curves: a star beside them, joined by a dotted line.

    Parameters
    ----------
    results
        By name: "accuracy" on the test images, "seconds", and "epochs", a list of
        records with "train_accuracy" and, where images were held out,
        "validation_accuracy".
    path
        The PNG file, written or replaced.

    Examples
    --------
    >>> import tempfile
    >>> epochs = [{"train_accuracy": 0.5, "validation_accuracy": 0.4}, {"train_accuracy": 0.9}]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     comparison({"ckn5": {"accuracy": 0.9, "seconds": 3.0, "epochs": epochs}}, f"{folder}/comparison.png")
    """
    names = list(results)
    figure = _figure(11, max(4.0, 2.5 + 0.35 * len(names)))
    curves, errors, seconds = figure.subplots(1, 3, width_ratios=[2, 1, 1])
    colours = {name: f"C{i}" for i, name in enumerate(names)}
    for name, result in results.items():
        for key, style, what in (("train", "-", "training"), ("validation", "--", "validation")):
            points = [
                (i, e[f"{key}_accuracy"])
                for i, e in enumerate(result["epochs"], 1)
                if f"{key}_accuracy" in e
            ]
            if points:
                curves.plot(
                    *zip(*points, strict=True),
                    style,
                    color=colours[name],
                    marker=".",
                    label=f"{name}, {what}",
                )
        if result["epochs"]:
            _draw_refit(curves, result, colours[name], f"{name}, test, classifier fitted again")
    if curves.lines:
        curves.legend(fontsize="small")
        curves.xaxis.get_major_locator().set_params(integer=True)
        curves.set_xlabel("epoch")
        curves.set_ylabel("accuracy")
        curves.set_title("Accuracy during training", fontsize="medium")
        curves.grid(alpha=0.3)
    else:
        curves.set_axis_off()
        curves.text(
            0.5,
            0.5,
            "no epochs:\nno model was trained by descent",
            ha="center",
            transform=curves.transAxes,
        )
    accuracies, times = (
        [result[key] for result in results.values()] for key in ("accuracy", "seconds")
    )
    for axes, values, labels, title in (
        (
            errors,
            [100 * (1 - a) for a in accuracies],
            [f"{a:.4f}" for a in accuracies],
            "Test error in %, and accuracy",
        ),
        (seconds, times, [f"{t:.1f}" for t in times], "Time in seconds"),
    ):
        bars = axes.barh(names, values, height=0.6, color=list(colours.values()))
        axes.bar_label(bars, labels, padding=3, fontsize="small")
        axes.set_xlim(0, 1.35 * max(values) or 1)
        axes.invert_yaxis()
        axes.set_title(title, fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
    seconds.set_yticks([])
    _save(figure, path)


def _draw_refit(curves: Any, result: Mapping[str, Any], colour: str, label: str) -> None:
    """Mark the test accuracy behind the last epoch, and join it with the end of the curve."""
    end, test = last_epoch(result["epochs"]), result["accuracy"]
    if end is not None:
        curves.plot([len(result["epochs"])] * 2, [end, test], ":", color=colour, linewidth=1)
    curves.plot(len(result["epochs"]), test, "*", color=colour, markersize=11, label=label)


def last_epoch(epochs: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the accuracy at the end of the last epoch, on images held out if there are some; None without epochs."""
    last: Mapping[str, float] = epochs[-1] if epochs else {}
    return last.get("validation_accuracy", last.get("train_accuracy"))


def _scaled(x: Any, axis: tuple[int, ...]) -> Any:
    """Return values from 0 to 1: each group along the axes from its least to its largest; equal ones become 0.5."""
    xp = CPU.xp
    low, high = x.min(axis=axis, keepdims=True), x.max(axis=axis, keepdims=True)
    return xp.where(high > low, (x - low) / xp.where(high > low, high - low, 1), 0.5)


def _mosaic(tiles: Any, columns: int) -> Any:
    """Return tiles (n, h, w, 1 or 3) in rows, as a colour image (H, W, 3), a pixel around each."""
    n, h, w, _ = tiles.shape
    rows = math.ceil(n / columns)
    image = CPU.xp.full((rows * (h + 1) + 1, columns * (w + 1) + 1, _RGB), _FRAME)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (h + 1) + 1, i % columns * (w + 1) + 1
        image[top : top + h, left : left + w] = tile
    return image


def _figure(width: float, height: float) -> Any:
    """Return an empty figure of a size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _save(figure: Any, path: PathLike) -> None:
    """Write a figure as a PNG; the same picture gives the same bytes."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    atomic_write(path, content.getvalue())
