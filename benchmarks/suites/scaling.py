"""Time per unit of a ckn5 training step as images, pixels and filters grow.

It should stay constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.ckn import ckn_inputs, multiplications, our_training
from benchmarks.suite import Case, Inputs, Settings, Side, Suite, Work

# values of the other two sizes
IMAGES = 64
SIZE = 32
FILTERS = 128


def _training(inputs: Inputs, device: str, *, which: str) -> Work:
    return our_training(inputs[which], device)


def _case(name: str, unit: str, sizes: dict[str, dict[str, int]]) -> Case:
    """Return a case of several sizes by label; all take turns, because times drift."""
    made: dict[str, Any] = {}

    def inputs() -> Inputs:
        for label, size in sizes.items():
            n = size.get("n_images", IMAGES)
            pixels = size.get("size", SIZE)
            made[label] = ckn_inputs(
                "ckn5", n_images=n, size=pixels, filters=size.get("filters", FILTERS)
            )
        return made

    def units(size: dict[str, int]) -> float:
        n = size.get("n_images", IMAGES)
        pixels = size.get("size", SIZE)
        filters = size.get("filters", FILTERS)
        if unit == "image":
            return n
        return (
            n * pixels**2 / 1e3
            if unit == "1000 pixels"
            else multiplications("ckn5", n, pixels, filters) / 1e6
        )

    sides = [
        Side(
            label,
            _training,
            {"which": label},
            ("tinygrad_ckn.models", "tinygrad_ckn.optim"),
            units=units(size),
        )
        for label, size in sizes.items()
    ]
    return Case(name, sides, inputs, tolerances={}, unit=unit, rounds=6)


def _cases(_: Settings) -> Sequence[Case]:
    return [
        _case(
            "ckn5 training step, more images",
            "image",
            {f"{n} images": {"n_images": n} for n in (32, 64, 128, 256)},
        ),
        _case(
            "ckn5 training step, more pixels",
            "1000 pixels",
            {f"{n} x {n} pixels": {"size": n} for n in (16, 32, 48, 64)},
        ),
        _case(
            "ckn5 training step, more filters",
            "million multiplications",
            {f"{n} filters": {"filters": n} for n in (32, 64, 128, 256)},
        ),
    ]


SUITE = Suite("scaling", "CKN-5 training step over images, pixels, filters: time per unit", _cases)
