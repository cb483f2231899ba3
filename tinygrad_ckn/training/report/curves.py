"""The charts of a run: descent, search for l2, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_ckn.training.metrics import ReliabilityBin
from tinygrad_ckn.training.report.charts import Chart, Point, chart

Records = Sequence[Mapping[str, Any]]
_L2 = "held_out_error_"


def curves(records: Records) -> list[Chart]:
    """Return accuracy and loss by epoch; none without fine-tuning.

    Marked are the epoch whose weights were kept and the accuracy of the classifier that
    was then fitted again.

    Examples
    --------
    >>> records = [{"phase": "epoch", "done": 1, "loss": 0.3, "train_accuracy": 0.3},
    ...            {"phase": "kept", "done": 1}, {"phase": "test", "accuracy": 0.978}]
    >>> accuracy, loss = curves(records)
    >>> accuracy.description  # doctest: +ELLIPSIS
    'After epoch 1: training 0.3. Kept epoch 1. ... the test accuracy is 0.978.'
    """
    epochs = [record for record in records if record.get("phase") == "epoch"]
    if not epochs:
        return []
    end = int(epochs[-1]["done"])
    kept = next((r for r in reversed(records) if r.get("phase") == "kept"), None)
    test = next((r for r in reversed(records) if r.get("phase") == "test"), None)
    rule, words = None, ""
    if kept is not None:
        number = int(kept["done"])
        which = f"epoch {number}" if number else "the start"
        rule = (float(number), f"kept: {which}")
        words = f" Kept {which}."
    star = None
    result = ""
    if test is not None and test.get("accuracy") is not None:
        star = (float(end), float(test["accuracy"]), "test, classifier fitted again")
        result = f" With the classifier fitted again, the test accuracy is {test['accuracy']:.4g}."
    charts = []
    for title, keys in (
        ("Accuracy by epoch", ("train_accuracy", "validation_accuracy")),
        ("Loss by epoch", ("loss", "validation_loss")),
    ):
        series = _series(epochs, keys)
        if series:
            last = ", ".join(f"{name} {points[-1][1]:.4g}" for name, points in series)
            of_accuracy = keys[0] != "loss"
            charts.append(
                chart(
                    title,
                    ("epoch", "accuracy" if of_accuracy else "loss"),
                    series,
                    description=f"After epoch {end}: {last}.{words}"
                    + (result if of_accuracy else ""),
                    kept=rule,
                    star=star if of_accuracy else None,
                    whole_x=True,
                )
            )
    return charts


def l2_chart(records: Records) -> Chart | None:
    """Return the held-out error by l2 of the last classifier; None if l2 was not searched."""
    fits = [r for r in records if r.get("phase") == "classifier" and "l2" in r]
    if not fits:
        return None
    points = sorted(
        (float(name.removeprefix(_L2)), float(error))
        for name, error in fits[-1].items()
        if name.startswith(_L2)
    )
    points = [(l2, error) for l2, error in points if l2 > 0]
    chosen = float(fits[-1]["l2"])
    if not points or chosen <= 0:
        return None
    return chart(
        "Search for l2",
        ("l2", "error on held-out images"),
        [("held-out error", points)],
        description=f"{len(points)} values were tried; chosen {chosen:g}, with an error of "
        f"{dict(points).get(chosen, min(error for _, error in points)):.4g}.",
        kept=(chosen, f"chosen: {chosen:g}"),
        log_x=True,
    )


def reliability_chart(bins: Sequence[ReliabilityBin]) -> Chart | None:
    """Return the accuracy by probability; None without probabilities."""
    if not bins:
        return None
    points: list[Point] = [(part.confidence, part.accuracy) for part in bins]
    words = "; ".join(
        f"{part.count} images of mean probability {part.confidence:.2f}: {part.accuracy:.2f} right"
        for part in bins
    )
    return chart(
        "Reliability",
        ("mean probability of the predicted class", "share classified correctly"),
        [("images by probability; area of a dot: their number", points)],
        description=words + ".",
        unit=True,
        weights=[part.count for part in bins],
    )


def _series(epochs: Records, keys: tuple[str, str]) -> list[tuple[str, list[Point]]]:
    """Return the training and validation values by epoch, where there are any."""
    series = []
    for key, name in zip(keys, ("training", "validation"), strict=True):
        points = [(float(e["done"]), float(e[key])) for e in epochs if key in e]
        if points:
            series.append((name, points))
    return series
