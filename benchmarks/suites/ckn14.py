"""The fourteen-layer network on batches of 128 images of 3x32x32, float32."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import layers
from benchmarks.ckn import EAGER, TUNED, ckn_case, ckn_inputs
from benchmarks.suite import Case, Settings, Suite


def _cases(settings: Settings) -> Sequence[Case]:
    return [
        ckn_case(
            "ckn14 training step",
            lambda: ckn_inputs("ckn14", n_images=128),
            training=True,
            peers=(TUNED, EAGER),
            targets={TUNED: 0.70},
            device=settings.device,
            costs=layers.training("ckn14", 128),
            rounds=4,
            steps=1,
            warm_up=1,
        )
    ]


SUITE = Suite("ckn14", "CKN-14, batch 128, 3x32x32: training step", _cases, devices=("cpu", "cuda"))
