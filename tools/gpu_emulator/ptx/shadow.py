"""Shadow memory: records the last accesses to each word to find races and unwritten reads.

Lock-step execution hides a missing barrier, so each word stores its last writer and its
last readers as stamps. A stamp has four fields, highest first:

    block (22 bits) | barriers of the block (17) | __syncwarp's of the warp (12) | thread (12)

The thread is a warp (five bits above SEVERAL) and a lane (five bits below it). SEVERAL
stands for more than one lane of the warp, MANY for more than one warp of the block,
EVERYONE for more than one block. Two accesses are concurrent if they belong to
different blocks, or to different threads between the same two barriers, unless both
belong to one warp with a __syncwarp between them.
"""

import numpy as np

from tools.gpu_emulator.ptx.errors import Race, Uninitialised

LANE = 0x1F
SEVERAL = 1 << 5
WARP = 0x1F << 6
MANY = 1 << 11
# one unit of each field
SYNC = 1 << 12
INTERVAL = 1 << 24
BLOCK = 1 << 41
# masks of the fields
WHO = SYNC - 1
SYNCS = INTERVAL - SYNC
MAX_BLOCKS = (1 << 22) - 1
EVERYONE = np.int64(MAX_BLOCKS * BLOCK | MANY)
NEVER = np.int64(-1)
# Kinds of access: a verb for messages, and the kinds that it must be
# ordered with.
KINDS = {
    "read": ("reads", ("wrote", "changed atomically")),
    "wrote": (
        "writes",
        ("wrote", "read", "changed atomically", "read in order", "read as constant"),
    ),
    "changed atomically": ("changes atomically", ("wrote", "read", "read as constant")),
    "read in order": ("reads in order", ("wrote",)),
    "read as constant": ("reads as constant", ("wrote", "changed atomically")),
}
# ld.global.nc, of `const T* __restrict__`: no thread of the launch may change the word.
CONSTANT = "read as constant"


def stamp(block: np.ndarray, thread: np.ndarray) -> np.ndarray:
    """Return the stamps of threads of blocks before the first barrier."""
    return block.astype(np.int64) * BLOCK | thread >> 5 << 6 | thread & LANE


def concurrent(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return where accesses with stamps `old` and `new` are not ordered.

    NEVER is ordered before all stamps.
    """
    difference = old ^ new
    hit = ((difference.view(np.uint64) < INTERVAL) & ((difference & WHO) != 0)) | (
        difference >= BLOCK
    )
    synced = hit & ((difference & SYNCS) != 0)
    if synced.any():
        hit &= ~(synced & (difference < INTERVAL) & (difference & (WARP | MANY) == 0))
    return hit


def _together(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return stamps that represent pairs of concurrent accesses; each is larger than both."""
    difference = old ^ new
    one_warp = difference & (WARP | MANY) == 0
    return np.where(
        difference >= BLOCK, EVERYONE, np.where(one_warp, new & ~LANE | SEVERAL, new & ~WHO | MANY)
    )


class Shadow:
    """The last accesses to a range of addresses.

    Parameters
    ----------
    start, size
        Range in bytes; for shared memory, of all copies of the blocks.
    grain
        Bytes of a word: the smallest access of the kernel.
    private
        Whether the memory is uninitialised at first (shared, local), so that reading an
        unwritten word is an error.
    """

    def __init__(self, start: int, size: int, grain: int, private: bool = False) -> None:
        self.first = start // grain
        self.words = -(-(start + size) // grain) - self.first if size else 0
        self.grain = grain
        self.known = np.zeros(self.words, bool) if private else None
        # Filled on first use, because arrays are large and many are only read.
        self.stores: dict[str, np.ndarray] = {}

    def _store(self, kind: str) -> np.ndarray:
        if kind not in self.stores:
            self.stores[kind] = np.full(self.words, NEVER)
        return self.stores[kind]

    def _covered(
        self, addresses: np.ndarray, size: int, *columns: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Return the words that accesses of `size` bytes cover; repeat columns to match."""
        words = addresses // self.grain - self.first
        count = size // self.grain
        if count == 1:
            return words, *columns
        return (words[:, None] + np.arange(count)).ravel(), *(
            np.repeat(column, count) for column in columns
        )

    def _check(self, kind: str, words: np.ndarray, stamps: np.ndarray, lanes: np.ndarray) -> None:
        """Raise Race if an access is concurrent with one it must be ordered with."""
        doing, others = KINDS[kind]
        for other in others:
            if other in self.stores:
                old = self.stores[other][words]
                constant = CONSTANT in (kind, other)
                hit = old != NEVER if constant else concurrent(old, stamps)
                if hit.any():
                    at = int(np.argmax(hit))
                    why = "in the same launch" if constant else "with no barrier between"
                    raise Race(
                        f"{doing} a word that {_name(old[at])} {other}, {why}", int(lanes[at])
                    )

    def access(self, kind: str, addresses, size: int, stamps, lanes, fills: bool = False) -> None:
        """Record accesses of a kind other than "wrote".

        Those that initialise words may find them unwritten.
        """
        words, stamps, lanes = self._covered(addresses, size, stamps, lanes)
        if self.known is not None and fills:
            self.known[words] = True
        elif self.known is not None and not (known := self.known[words]).all():
            raise Uninitialised(
                "memory is read that nobody has written", int(lanes[np.argmin(known)])
            )
        self._check(kind, words, stamps, lanes)
        self._note(kind, words, stamps)

    def write(self, addresses, size: int, stamps, lanes, same) -> None:
        """Record plain writes; `same` tells for each whether memory now holds its value."""
        words, stamps, lanes, same = self._covered(addresses, size, stamps, lanes, same)
        self._check("wrote", words, stamps, lanes)
        if self.known is not None:
            self.known[words] = True
        store = self._store("wrote")
        store[words] = stamps
        difference = store[words] ^ stamps
        lost = (difference >= BLOCK) | ((difference != 0) & ~same)
        if lost.any():
            at = int(np.argmax(lost))
            raise Race(
                f"writes a word that {_name(store[words[at]])} writes at the same time",
                int(lanes[at]),
            )

    def _note(self, kind: str, words, stamps) -> None:
        store = self._store(kind)
        old = store[words]
        both = concurrent(old, stamps)
        if both.any():
            stamps = np.where(both, _together(old, stamps), stamps)
            if (stamps == old).all():
                return
        store[words] = stamps
        kept = store[words]
        # Several lanes wrote one word.
        lost = np.flatnonzero(kept != stamps)
        if len(lost):
            np.maximum.at(store, words[lost], _together(kept[lost], stamps[lost]))


def _name(stamp: np.int64) -> str:
    if stamp == EVERYONE:
        return "several blocks"
    warp = int(stamp & WARP) >> 6
    lane = int(stamp & LANE)
    thread = "several threads" if stamp & (SEVERAL | MANY) else f"thread {32 * warp + lane}"
    return f"{thread} of block {int(stamp // BLOCK)}"
