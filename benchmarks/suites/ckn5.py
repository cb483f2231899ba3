"""The five-layer network on batches of 128 images of 3x32x32, float32."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from benchmarks import layers
from benchmarks.ckn import COMPILED, EAGER, TUNED, ckn_case, ckn_inputs
from benchmarks.suite import Case, Settings, Suite


def _cases(settings: Settings) -> Sequence[Case]:
    inputs = functools.cache(lambda: ckn_inputs("ckn5", n_images=128))
    return [
        ckn_case(
            "ckn5 training step",
            inputs,
            training=True,
            targets={TUNED: 0.65, COMPILED: 0.90, EAGER: 0.45},
            device=settings.device,
            costs=layers.training("ckn5", 128),
        ),
        ckn_case(
            "ckn5 inference",
            inputs,
            training=False,
            targets={TUNED: 0.55, COMPILED: 0.80},
            device=settings.device,
            costs=layers.encoding("ckn5", 128),
        ),
    ]


SUITE = Suite(
    "ckn5",
    "CKN-5, batch 128, 3x32x32: training step and inference",
    _cases,
    devices=("cpu", "cuda"),
)
