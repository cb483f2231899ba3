"""test.json of a run: what its report shows of the test images, without the images.

Its size is bounded: bins of probabilities, the most confident mistakes with a small
picture each, the Nystrom error of each layer, and the peak memory by phase.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.backend import asarray
from tinygrad_ckn.data import Split
from tinygrad_ckn.errors import CKNError, DataError
from tinygrad_ckn.files import atomic_write
from tinygrad_ckn.models import CKN, Network, nystrom_error
from tinygrad_ckn.models.learning.fit import layer_patches
from tinygrad_ckn.training import metrics
from tinygrad_ckn.training.evaluation import Predictions

TEST = "test.json"
FORMAT = "tinygrad-ckn test"
FORMAT_VERSION = 1
# Mistakes with a picture, and the pixels of its longer side.
MAX_MISTAKES = 24
MAX_PIXELS = 64
# Characters of a path or label that is shown.
MAX_TEXT = 200
# Images and patches that the Nystrom error is measured on.
_IMAGES = 100
_PATCHES = 500


def summarise(model: Network, split: Split, predictions: Predictions) -> dict[str, Any]:
    """Return the content of test.json: JSON values of bounded size.

    Parameters
    ----------
    model
        In eval mode, on any device.
    split
        The test images.
    predictions
        Those of the model for these images.

    Examples
    --------
    >>> from tinygrad_ckn.data import load_digits
    >>> from tinygrad_ckn.models import build
    >>> from tinygrad_ckn.training.evaluation import predict
    >>> model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10).eval()
    >>> test = load_digits().test
    >>> summary = summarise(model, test, predict(model, test))
    >>> len(summary["mistakes"]), len(summary["nystrom_errors"])
    (24, 2)
    """
    summary: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION}
    correct = predictions.labels == predictions.predicted
    probability = predictions.probability
    if probability is not None:
        bins = metrics.bins_of_confidence(probability, correct)
        summary["reliability"] = [
            [part.low, part.high, part.count, part.confidence, part.accuracy]
            for part in bins
            if part.count
        ]
    summary["mistakes"] = _mistakes(model, split, predictions, ~correct)
    if isinstance(model, CKN):
        summary["nystrom_errors"] = _nystrom_errors(model, split)
    return summary


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write test.json into the folder of a run."""
    atomic_write(folder / TEST, (json.dumps(summary) + "\n").encode())


def read_summary(folder: Path) -> dict[str, Any] | None:
    """Return the content of a run's test.json; None if it has none.

    Raises
    ------
    DataError
        If it is damaged or of a newer format.
    """
    path = folder / TEST
    if not path.is_file():
        return None
    try:
        summary = json.loads(path.read_bytes(), parse_constant=_no_number)
        if not isinstance(summary, dict) or summary.get("format") != FORMAT:
            raise ValueError("it is another JSON file")
        if summary.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"format_version {summary.get('format_version')!r:.20}")
        return {
            "reliability": [
                metrics.ReliabilityBin(float(low), float(high), int(count), float(mean), float(hit))
                for low, high, count, mean, hit in summary.get("reliability", [])
            ],
            "calibrated": "reliability" in summary,
            "mistakes": [_mistake(mistake) for mistake in summary["mistakes"]],
            "nystrom_errors": [float(error) for error in summary.get("nystrom_errors", [])],
            "peak_memory": {
                str(phase): int(peak)
                for phase, peak in summary.get("peak_memory", {}).items()
                if peak is not None
            },
        }
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise DataError(
            f"{path}: expected what train wrote, in format_version {FORMAT_VERSION}, got something "
            f"else ({str(error)[:80]}); remove the file to make a report without it"
        ) from error


def _mistakes(
    model: Network, split: Split, predictions: Predictions, wrong: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Return the wrongly classified images of the largest probability, largest first."""
    indices = np.flatnonzero(wrong)
    probability = predictions.probability
    if probability is not None:
        indices = indices[np.argsort(-probability[indices], kind="stable")]
    # Ascending, as files are read.
    chosen = np.sort(indices[:MAX_MISTAKES])
    pictures = dict(zip(chosen.tolist(), split.images[chosen], strict=True)) if len(chosen) else {}
    low, high = _range(model, pictures)
    return [
        {
            "index": i,
            "path": None if split.paths is None else str(split.paths[i])[-MAX_TEXT:],
            "true": int(predictions.labels[i]),
            "predicted": int(predictions.predicted[i]),
            "probability": None if probability is None else float(probability[i]),
            "picture": picture_record(np.asarray(pictures[i]), low, high),
        }
        for i in indices[:MAX_MISTAKES].tolist()
    ]


def _range(model: Network, pictures: Mapping[int, NDArray[Any]]) -> tuple[float, float]:
    """Return the pixels to draw black and white: 0 and 1 if the images lie between."""
    if model.data_format is not None:
        pixels = model.data_format.pixels
        low, high = pixels.low, pixels.high
    else:
        low = min((float(image.min()) for image in pictures.values()), default=0.0)
        high = max((float(image.max()) for image in pictures.values()), default=1.0)
    return (0.0, 1.0) if 0 <= low and high <= 1 else (low, high)


def picture_record(image: NDArray[Any], low: float, high: float) -> dict[str, Any]:
    """Return an image (C, H, W) as bytes of at most 64 x 64 pixels, grey or coloured.

    Larger images are averaged over squares of pixels, and channels other than 1 or 3 over
    channels.

    Examples
    --------
    >>> picture_record(np.array([[[0.0, 1.0]]]), 0.0, 1.0)
    {'shape': [1, 2, 1], 'pixels': 'AP8='}
    """
    shown = image.astype(np.float64)
    if len(shown) not in (1, 3):
        shown = shown.mean(axis=0, keepdims=True)
    step = math.ceil(max(shown.shape[1:]) / MAX_PIXELS)
    channels, height, width = shown.shape
    rows, columns = max(1, height // step), max(1, width // step)
    across, down = min(step, width), min(step, height)
    cut = shown[:, : rows * down, : columns * across]
    shown = cut.reshape(channels, rows, down, columns, across).mean(axis=(2, 4))
    scaled = np.clip((shown - low) / (high - low or 1.0), 0, 1)
    pixels = np.round(255 * scaled).astype(np.uint8).transpose(1, 2, 0)
    return {"shape": list(pixels.shape), "pixels": b64encode(pixels.tobytes()).decode()}


def _mistake(mistake: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checked mistake, its picture as bytes (H, W, 1 or 3)."""
    probability, path = mistake["probability"], mistake["path"]
    picture = mistake["picture"]
    shape = tuple(int(size) for size in picture["shape"])
    height, width, channels = shape
    if channels not in (1, 3) or not 0 < max(height, width) <= MAX_PIXELS:
        raise ValueError(f"a picture of shape {shape}")
    pixels = np.frombuffer(b64decode(picture["pixels"], validate=True), dtype=np.uint8)
    return {
        "index": int(mistake["index"]),
        "path": None if path is None else str(path),
        "true": int(mistake["true"]),
        "predicted": int(mistake["predicted"]),
        "probability": None if probability is None else float(probability),
        "picture": pixels.reshape(shape),
    }


def _nystrom_errors(model: CKN, split: Split) -> list[float]:
    """Return the error of each layer on patches of some test images; [] if they have none."""
    chosen = np.unique(np.linspace(0, len(split) - 1, _IMAGES).astype(np.intp))
    images = asarray(np.asarray(split.images[chosen]), device=model.device)
    # Its own generator, so that no other random number changes.
    rng = np.random.default_rng(0)
    try:
        prepared = model.preprocess(images)
        return [
            nystrom_error(layer, layer_patches(model.layers, i, prepared, _PATCHES, rng))
            for i, layer in enumerate(model.layers)
        ]
    except CKNError:
        # Images without contrast, for instance, have no patches to measure on.
        return []


def _no_number(name: str) -> float:
    """Refuse NaN and infinities."""
    raise ValueError(f"the number {name}")
