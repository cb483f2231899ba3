"""Peak rates of GPUs by their datasheets, and minimum times of launches: the roofline.

A launch takes at least its bytes divided by the memory bandwidth, and at least its
operations divided by the arithmetic rate (Williams, Waterman, Patterson 2009).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.costs import Cost


@dataclass(frozen=True)
class Card:
    """A GPU: peak memory bandwidth, and peak float32 and TF32 operations per second.

    TF32 is the dense rate of the tensor cores; None: they do not support it, or it is
    not known. `source` is the origin of the figures.
    """

    name: str
    bandwidth: float
    float32: float
    tf32: float | None
    source: str = "datasheet"

    def seconds(self, cost: Cost, *, tf32: bool = False) -> float:
        """Return the minimum time of a launch; with `tf32`, tensor cores compute products."""
        return max(self._by_memory(cost), self._by_arithmetic(cost, tf32))

    def is_memory_bound(self, cost: Cost) -> bool:
        """Return whether the memory bandwidth limits a launch in float32."""
        return self._by_memory(cost) >= self._by_arithmetic(cost, tf32=False)

    def total(self, costs: Iterable[Cost], *, tf32: bool = False) -> float:
        """Return the minimum time of launches one after another."""
        return sum(self.seconds(cost, tf32=tf32) for cost in costs)

    def _by_memory(self, cost: Cost) -> float:
        return cost.bytes / self.bandwidth

    def _by_arithmetic(self, cost: Cost, tf32: bool) -> float:
        return cost.flops / (
            self.tf32 if tf32 and cost.product and self.tf32 is not None else self.float32
        )


# Keyed by the name that CUDA reports: GB/s, TFLOP/s in float32, TFLOP/s in TF32. From
# NVIDIA's datasheets and, for GeForce, white papers of the architectures; TF32 with
# sparsity, the usual figure of datasheets, is halved.
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
# capabilities with 64 float32 cores per multiprocessor instead of 128
_FEWER_CORES = {(6, 0), (7, 0), (7, 2), (7, 5), (8, 0)}


def from_attributes(name: str, capability: tuple[int, int], attributes: Mapping[str, int]) -> Card:
    """Return an unlisted card, from the clocks and widths that the driver reports.

    Examples
    --------
    >>> clocks = {"ClockRate": 1_590_000, "MultiProcessorCount": 40}
    >>> clocks |= {"MemoryClockRate": 5_001_000, "GlobalMemoryBusWidth": 256}
    >>> card = from_attributes("T4", (7, 5), clocks)
    >>> round(card.bandwidth / 1e9), round(card.float32 / 1e12, 1)
    (320, 8.1)
    """
    twice = (
        # Memory transfers at both edges of its clock, and a fused multiply-add is two
        # operations.
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
    """Return the current GPU, with datasheet figures if listed."""
    device = cupy.cuda.Device()
    properties = cupy.cuda.runtime.getDeviceProperties(device.id)
    name = properties["name"].decode()
    if name in CARDS:
        return CARDS[name]
    return from_attributes(name, (properties["major"], properties["minor"]), device.attributes)
