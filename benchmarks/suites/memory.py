"""Memory of a ckn5 training step, beyond that of the process after its imports."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.ckn import COMPILED, EAGER, TUNED, ckn_case, ckn_inputs
from benchmarks.suite import Case, Settings, Suite


def _cases(_: Settings) -> Sequence[Case]:
    return [
        ckn_case(
            "ckn5 training step, memory",
            lambda: ckn_inputs("ckn5", n_images=128),
            training=True,
            peers=(EAGER, TUNED, COMPILED),
            targets={},
            memory_targets={EAGER: 0.5},
            rounds=2,
        )
    ]


SUITE = Suite("memory", "CKN-5, batch 128, 3x32x32: peak memory of training", _cases)
