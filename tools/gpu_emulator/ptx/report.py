"""Counters of a launch: instructions, memory traffic, bank conflicts, flops."""

from dataclasses import dataclass, field

import numpy as np

SECTOR = 32


@dataclass
class Traffic:
    """Memory traffic of one load, store or atomic of the PTX to global or shared memory.

    Attributes
    ----------
    requests
        Number of warp executions.
    sectors, ideal
        Global memory: 32-byte sectors that the requests touched, and the minimum that
        could hold as many bytes.
    cycles, worst
        Shared memory: total passes over the banks, and the maximum in one phase; 1 is
        free of conflicts.
    """

    text: str
    line: int
    source: int | None
    space: str
    requests: int = 0
    sectors: int = 0
    ideal: int = 0
    cycles: int = 0
    worst: int = 0

    @property
    def coalescing(self) -> float:
        """Ratio of sectors to ideal sectors; 1 is perfect."""
        return self.sectors / self.ideal if self.ideal else 1.0


@dataclass
class Report:
    """Counters of one launch.

    Attributes
    ----------
    steps
        Instructions that the interpreter executed, each for all active lanes of a batch
        of blocks.
    instructions
        Instructions that warps executed.
    flops
        Floating-point operations of all threads; a fused multiply-add counts as two.
    traffic
        Global and shared accesses, in the order of the PTX.
    """

    kernel: str
    steps: int = 0
    instructions: int = 0
    flops: int = 0
    traffic: list[Traffic] = field(default_factory=list)

    def of(self, space: str) -> list[Traffic]:
        """Return the accesses to "global" or "shared" memory."""
        return [traffic for traffic in self.traffic if traffic.space == space]

    @property
    def requests(self) -> int:
        """Requests of warps to global memory."""
        return sum(t.requests for t in self.of("global"))

    @property
    def sectors(self) -> int:
        """Sectors of global memory that these requests touched."""
        return sum(t.sectors for t in self.of("global"))

    @property
    def ideal(self) -> int:
        """Minimum number of sectors that could hold as many bytes."""
        return sum(t.ideal for t in self.of("global"))

    @property
    def sectors_per_request(self) -> float:
        """Average number of sectors per request."""
        return self.sectors / self.requests if self.requests else 0.0

    @property
    def coalescing(self) -> float:
        """Ratio of sectors to ideal sectors over all accesses to global memory; 1 is perfect."""
        return self.sectors / self.ideal if self.ideal else 1.0

    @property
    def worst_coalescing(self) -> float:
        """Largest such ratio of a single instruction."""
        return max((t.coalescing for t in self.of("global")), default=1.0)

    @property
    def worst_bank_conflict(self) -> int:
        """Maximum passes in one phase of a shared access; 1: no conflicts, 0: no access."""
        return max((t.worst for t in self.of("shared")), default=0)

    def __str__(self) -> str:
        """Return a table of the accesses."""
        lines = [f"{self.kernel}: {self.instructions} warp instructions, {self.flops} flops"]
        for t in self.traffic:
            what = (
                f"{t.sectors} sectors, ideal {t.ideal}"
                if t.space == "global"
                else f"{t.worst}-way, {t.cycles} passes"
            )
            source = f" (source {t.source})" if t.source else ""
            lines.append(f"  line {t.line}{source}: {t.text}: {t.requests} requests, {what}")
        return "\n".join(lines)


def count_sectors(traffic: Traffic, lanes: np.ndarray, addresses: np.ndarray, size: int) -> None:
    """Add one access of these lanes to global memory."""
    # addresses of one warp are adjacent
    keys = _ordered((lanes >> 5 << 48) | addresses)
    warps = keys[_firsts(keys)] >> 48
    distinct = np.bincount(warps - warps[0])
    traffic.requests += int(np.count_nonzero(distinct))
    traffic.ideal += int((-(-distinct * size // SECTOR)).sum())
    traffic.sectors += len(_firsts(keys >> 5))


def count_banks(traffic: Traffic, lanes: np.ndarray, addresses: np.ndarray, size: int) -> None:
    """Add one access of these lanes to shared memory.

    It has 32 banks, 4 bytes wide, and 128 bytes per phase.
    """
    words = max(size // 4, 1)
    # lanes of a phase
    width = 32 // words
    change = lanes[1:] ^ lanes[:-1]
    traffic.requests += 1 + int(np.count_nonzero(change >= 32))
    rows = addresses >> 7
    next_phase = change >= width
    if (next_phase | (rows[1:] == rows[:-1])).all():
        # A phase within 128 contiguous bytes uses each bank once.
        traffic.cycles += 1 + int(np.count_nonzero(next_phase))
        traffic.worst = max(traffic.worst, 1)
        return
    phases = lanes // width - lanes[0] // width
    keys = _ordered(
        ((phases[:, None] << 32) | ((addresses[:, None] >> 2) + np.arange(words))).ravel()
    )
    # Several lanes at the same word are one access.
    keys = keys[_firsts(keys)]
    counts = np.bincount((keys >> 32) * 32 + (keys & 31))
    passes = np.maximum.reduceat(counts, np.arange(0, len(counts), 32))
    traffic.cycles += int(passes.sum())
    traffic.worst = max(traffic.worst, int(passes.max()))


def _ordered(keys: np.ndarray) -> np.ndarray:
    return keys if (keys[1:] >= keys[:-1]).all() else np.sort(keys)


def _firsts(keys: np.ndarray) -> np.ndarray:
    """Return the index at which each run of equal keys begins."""
    new = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    return np.flatnonzero(new)
