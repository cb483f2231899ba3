"""The roofline tables of docs/gpu.md: printed by `python -m benchmarks.roofline`.

A test compares them with the page. They list the launches of a network on 128 images of
3x32x32 in float32, summed by kernel, with the minimum time on two cards, in float32
throughout and with products in TF32.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from benchmarks.costs import Cost, total_bytes, total_flops
from benchmarks.gpu_specs import CARDS, Card
from benchmarks.layers import encoding, training

IMAGES = 128
SHOWN: Sequence[tuple[str, Card]] = (
    ("H100 SXM", CARDS["NVIDIA H100 80GB HBM3"]),
    ("RTX 4090", CARDS["NVIDIA GeForce RTX 4090"]),
)


def _bound(card: Card, costs: Sequence[Cost]) -> str:
    """Describe the limits of launches without tensor cores: memory or arithmetic."""
    by_memory = sum(card.is_memory_bound(cost) for cost in costs)
    if by_memory in (0, len(costs)):
        return "memory" if by_memory else "arithmetic"
    return f"memory: {by_memory} of {len(costs)}"


def _row(name: str, costs: Sequence[Cost]) -> str:
    cells = [
        name,
        str(len(costs)),
        f"{total_bytes(costs) / 1e6:,.0f}",
        f"{total_flops(costs) / 1e9:,.2f}",
    ]
    for _, card in SHOWN:
        times = [f"{card.total(costs, tf32=tf32) * 1e6:,.0f}" for tf32 in (False, True)]
        cells += [*times, _bound(card, costs)]
    return f"| {' | '.join(cells)} |"


def table() -> Iterator[str]:
    """Yield the lines: each kernel of a step of ckn5, its total, and totals of others."""
    step = training("ckn5", IMAGES)
    headings = ["kernel", "calls", "MB", "GFLOP"]
    for name, _ in SHOWN:
        headings += [f"{name}, us", "TF32, us", "waits for"]
    yield f"| {' | '.join(headings)} |"
    yield "|---" * len(headings) + "|"
    for name in dict.fromkeys(cost.name for cost in step):
        yield _row(f"`{name}`", [cost for cost in step if cost.name == name])
    for preset in ("ckn5", "ckn14"):
        yield _row(f"{preset}, features", encoding(preset, IMAGES))
        yield _row(f"{preset}, training step", training(preset, IMAGES))


if __name__ == "__main__":
    argparse.ArgumentParser(description=str(__doc__).splitlines()[0]).parse_args()
    print("\n".join(table()))
