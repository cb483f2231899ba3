"""Features of 256 images of 3x32x32 by the two-layer presets without labels, in eval mode."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from benchmarks import layers
from benchmarks.ckn import TUNED, ckn_case, ckn_inputs
from benchmarks.suite import Case, Settings, Suite


def _cases(settings: Settings) -> Sequence[Case]:
    return [
        ckn_case(
            f"features {preset}, 256 images",
            functools.partial(ckn_inputs, preset, n_images=256),
            training=False,
            targets={TUNED: target},
            device=settings.device,
            costs=layers.encoding(preset, 256),
        )
        for preset, target in (("unsup-64-256", 0.38), ("unsup-256-1024", 0.33))
    ]


SUITE = Suite(
    "features",
    "unsup-64-256 and unsup-256-1024, 256 images of 3x32x32",
    _cases,
    devices=("cpu", "cuda"),
)
