"""What GPUs can do at most, by their datasheets, and how long a launch takes by that: the roofline.

A launch takes at least its bytes by the bandwidth of memory, and at least its
operations by the rate of arithmetic (Williams, Waterman, Patterson 2009).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.costs import Cost


@dataclass(frozen=True)
class Card:
    """A GPU: bytes of memory and float32 operations a second; those of TF32 by tensor cores, without sparsity.

    `source` tells where the figures are from; `tf32` is None where there is none, or it
    is not known.
    """

    name: str
    bandwidth: float
    float32: float
    tf32: float | None
    source: str = "datasheet"

    def seconds(self, cost: Cost, *, tf32: bool = False) -> float:
        """Return how long a launch takes at least; with `tf32`, products are computed by tensor cores."""
        return max(self._by_memory(cost), self._by_arithmetic(cost, tf32))

    def is_memory_bound(self, cost: Cost) -> bool:
        """Tell whether it is memory that a launch waits for, in float32."""
        return self._by_memory(cost) >= self._by_arithmetic(cost, tf32=False)

    def total(self, costs: Iterable[Cost], *, tf32: bool = False) -> float:
        """Return how long launches one after the other take at least."""
        return sum(self.seconds(cost, tf32=tf32) for cost in costs)

    def _by_memory(self, cost: Cost) -> float:
        return cost.bytes / self.bandwidth

    def _by_arithmetic(self, cost: Cost, tf32: bool) -> float:
        return cost.flops / (
            self.tf32 if tf32 and cost.product and self.tf32 is not None else self.float32
        )


# By the name that CUDA reports: GB/s, TFLOP/s in float32, TFLOP/s in TF32. From
# NVIDIA's datasheets and, for GeForce, white papers of the architectures; TF32 with
# sparsity, as datasheets like to state it, is halved.
_DATASHEETS: Mapping[str, tuple[float, float, float | None]] = {
    "NVIDIA H200": (4800, 67, 494.5),
    # SXM
    "NVIDIA H100 80GB HBM3": (3350, 67, 494.5),
    "NVIDIA H100 NVL": (3900, 60, 417.5),
    "NVIDIA H100 PCIe": (2000, 51, 378),
    "NVIDIA A100-SXM4-80GB": (2039, 19.5, 156),
    "NVIDIA A100 80GB PCIe": (1935, 19.5, 156),
    "NVIDIA A100-SXM4-40GB": (1555, 19.5, 156),
    "NVIDIA A100-PCIE-40GB": (1555, 19.5, 156),
    "NVIDIA L40S": (864, 91.6, 183),
    "NVIDIA L4": (300, 30.3, 60),
    "NVIDIA GeForce RTX 4090": (1008, 82.6, 82.6),
    "NVIDIA GeForce RTX 3090": (936, 35.6, 35.6),
    "Tesla V100-SXM2-16GB": (900, 15.7, None),
    "Tesla V100-SXM2-32GB": (900, 15.7, None),
    "Tesla T4": (320, 8.1, None),
}
CARDS = {
    name: Card(name, bandwidth * 1e9, float32 * 1e12, None if tf32 is None else tf32 * 1e12)
    for name, (bandwidth, float32, tf32) in _DATASHEETS.items()
}
_FEWER_CORES = {
    (6, 0),
    (7, 0),
    (7, 2),
    (7, 5),
    (8, 0),
}  # capabilities with 64 float32 cores a multiprocessor, not 128


def from_attributes(name: str, capability: tuple[int, int], attributes: Mapping[str, int]) -> Card:
    """Return a card that is in no table, from what the driver says of its clocks and widths.

    Examples
    --------
    >>> clocks = {"ClockRate": 1_590_000, "MultiProcessorCount": 40}
    >>> card = from_attributes("T4", (7, 5), {**clocks, "MemoryClockRate": 5_001_000, "GlobalMemoryBusWidth": 256})
    >>> round(card.bandwidth / 1e9), round(card.float32 / 1e12, 1)
    (320, 8.1)
    """
    twice = (
        # memory transfers at both edges of its clock, and a fused multiply-add is two
        # operations
        2
    )
    cores = attributes["MultiProcessorCount"] * (64 if capability in _FEWER_CORES else 128)
    bandwidth = twice * attributes["MemoryClockRate"] * 1e3 * attributes["GlobalMemoryBusWidth"] / 8
    return Card(
        name,
        bandwidth,
        twice * attributes["ClockRate"] * 1e3 * cores,
        None,
        "from the driver's clocks",
    )


def present(cupy: Any) -> Card:
    """Return the current GPU, by the datasheet if it is a known one."""
    device = cupy.cuda.Device()
    properties = cupy.cuda.runtime.getDeviceProperties(device.id)
    name = properties["name"].decode()
    if name in CARDS:
        return CARDS[name]
    return from_attributes(name, (properties["major"], properties["minor"]), device.attributes)
