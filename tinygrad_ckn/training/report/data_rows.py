"""The data of a run for readers: where its parts are from, their sizes, what is doubtful."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

# The parts by their names in config.json, and how a reader knows them.
PARTS = {"train": "training", "validation": "validation", "test": "test"}


def data_rows(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what config.json says about the data, as rows of a name and a value.

    Examples
    --------
    >>> data_rows({"data": {"name": "digits", "train": 1437, "test": 360}})
    [('name', 'digits'), ('training images', '1,437'), ('test images', '360')]
    """
    data = config.get("data", {})
    rows = [("name", str(data.get("name", "unknown")))]
    if data.get("data") not in (None, data.get("name")):
        rows.append(("file or folder", str(data["data"])))
    if data.get("data_dir"):
        rows.append(("folder", str(data["data_dir"])))
    rows += _division(data.get("division", {}))
    for part, title in PARTS.items():
        # 0 if there are none.
        if data.get(part):
            rows.append((f"{title} images", f"{int(data[part]):,}"))
    if "group" in data.get("reading", {}):
        rows.append(("images that stay together", str(data["reading"]["group"])))
    if "image_shape" in data:
        rows.append(("shape of an image", " x ".join(map(str, data["image_shape"]))))
    if "n_classes" in data:
        rows.append(("classes", f"{int(data['n_classes']):,}"))
    for part, text in dict(data.get("fingerprints") or {}).items():
        if isinstance(text, str):
            digest = sha256(text.encode()).hexdigest()[:16]
            rows.append((f"fingerprint of all {PARTS.get(part, part)} images", digest))
    return rows


def doubts(config: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each thing that makes a measurement on the data doubtful.

    Examples
    --------
    >>> doubts({"data": {"test": 50, "copies": {"test in training": 3}}})
    ['3 of 50 test images are copies of training images: the accuracy is too high.']
    """
    return list(_doubts(config.get("data", {})))


def _division(division: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield where parts that the data set does not have come from."""
    for part in ("validation", "test"):
        if f"{part}_data" in division:
            yield f"{part} images from", str(division[f"{part}_data"])
    if "holdout" in division:
        yield "share held out for testing", f"{float(division['holdout']):g}"


def _doubts(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sentences of `doubts`."""
    kinds = {
        "copies": ("copies of {} images", "is"),
        "shared_groups": ("of groups that {} images are of", "may be"),
    }
    for name, (what, verb) in kinds.items():
        for pair, count in data.get(name, {}).items():
            part, _, other = pair.partition(" in ")
            total = f" of {int(data[part]):,}" if part in data else ""
            found = f"{int(count):,}{total} {part} images are {what.format(other)}"
            yield f"{found}: the accuracy {verb} too high."
    for part, count in data.get("seen_before", {}).items():
        total = f" of {int(data[part]):,}" if part in data else ""
        yield (
            f"{int(count):,}{total} {part} images were seen by the run that this one began with: "
            "the accuracy may be too high."
        )
    if data.get("conflicting_labels"):
        yield (
            f"{int(data['conflicting_labels']):,} images have an equal image with another label."
        )
