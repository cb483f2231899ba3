"""Who touched each word of memory last: how races and reads of unwritten memory are found.

Lock-step execution hides a missing barrier, so each word remembers its last writer and its last readers as a stamp. A stamp
has four fields, highest first:

    block (23 bits) | barriers the block has passed (17) | __syncwarp's the warp has passed (12) | who in the block (11)

"Who" is a thread's number, or SEVERAL + the number of a warp for more than one of its threads, or MANY for threads of more
than one warp. EVERYONE stands for threads of more than one block. Two accesses are concurrent if they are of different
blocks, or of different threads between the same two barriers, unless the two are of one warp with a __syncwarp between them.
"""

import numpy as np

from tests.gpu.ptx.errors import Race, Uninitialised

WHO, SYNC, INTERVAL, BLOCK = 0, 11, 23, 40  # where each field begins
WHO_MASK, SEVERAL, MANY = (1 << SYNC) - 1, 1024, (1 << SYNC) - 1
MOST_BLOCKS = (1 << 23) - 1
EVERYONE = np.int64(MOST_BLOCKS << BLOCK | MANY)
NEVER = np.int64(-1)


def _warp(stamps: np.ndarray) -> np.ndarray:
    who = stamps & WHO_MASK
    return np.where(who < SEVERAL, who >> 5, who - SEVERAL)


def concurrent(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return where nothing orders the accesses with the stamps `old` and `new`; NEVER is ordered before all."""
    difference = old ^ new
    same_interval = difference.view(np.uint64) < np.uint64(1 << INTERVAL)
    hit = (same_interval & ((difference & WHO_MASK) != 0)) | (difference >= 1 << BLOCK)
    if hit.any():
        synced = same_interval & (difference >> SYNC != 0) & (_warp(old) == _warp(new))
        hit &= ~synced
    return hit


def _together(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the stamp that stands for two concurrent accesses; it is larger than both."""
    several = np.where(_warp(old) == _warp(new), SEVERAL + _warp(new), MANY)
    return np.where((old ^ new) >= 1 << BLOCK, EVERYONE, (new & ~WHO_MASK) | several)


class Shadow:
    """The last accesses to a range of addresses.

    Parameters
    ----------
    start, size
        The range in bytes; for shared memory, of all the blocks' copies.
    grain
        Bytes of a word: the smallest access that the kernel makes.
    private
        The memory holds nothing at first (shared, local), so reading what nobody wrote is an error.
    """

    def __init__(self, start: int, size: int, grain: int, private: bool = False) -> None:
        self.first = start // grain
        self.words = -(-(start + size) // grain) - self.first if size else 0
        self.grain = grain
        self.private = private
        self.stores: dict[str, np.ndarray] = {}  # made when first needed: arrays are large, and many are only read

    def _store(self, kind: str) -> np.ndarray:
        if kind not in self.stores:
            self.stores[kind] = np.full(self.words, NEVER)
        return self.stores[kind]

    def covered(self, addresses: np.ndarray, size: int, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the words that accesses of `size` bytes cover, and the columns repeated to match."""
        words = addresses // self.grain - self.first
        count = size // self.grain
        if count == 1:
            return words, *columns
        return (words[:, None] + np.arange(count)).ravel(), *(np.repeat(column, count) for column in columns)

    def check(self, kinds: tuple[str, ...], doing: str, words, stamps, lanes) -> None:
        """Raise Race if one of these kinds of access to the words is concurrent with `stamps`."""
        for kind in kinds:
            if kind not in self.stores:
                continue
            old = self.stores[kind][words]
            hit = concurrent(old, stamps)
            if hit.any():
                at = int(np.argmax(hit))
                raise Race(f"{doing} a word that {_name(old[at])} {kind}, with no barrier between", int(lanes[at]))

    def read(self, addresses, size: int, stamps, lanes) -> None:
        """Note reads; Uninitialised or Race if they are wrong."""
        words, stamps, lanes = self.covered(addresses, size, stamps, lanes)
        if self.private:
            never = self._store("wrote")[words] == NEVER
            if never.any():
                raise Uninitialised("memory is read that nobody has written", int(lanes[np.argmax(never)]))
        self.check(("wrote", "changed atomically"), "reads", words, stamps, lanes)
        self._note("read", words, stamps)

    def write(self, addresses, size: int, stamps, lanes, same) -> None:
        """Note writes; `same` says for each access whether memory now holds what it wrote."""
        words, stamps, lanes, same = self.covered(addresses, size, stamps, lanes, same)
        self.check(("wrote", "read", "changed atomically"), "writes", words, stamps, lanes)
        store = self._store("wrote")
        store[words] = stamps
        difference = store[words] ^ stamps
        lost = (difference >= 1 << BLOCK) | ((difference != 0) & ~same)
        if lost.any():
            at = int(np.argmax(lost))
            raise Race(f"writes a word that {_name(store[words[at]])} writes at the same time", int(lanes[at]))

    def change(self, addresses, size: int, stamps, lanes) -> None:
        """Note atomic accesses, which need no order among themselves."""
        words, stamps, lanes = self.covered(addresses, size, stamps, lanes)
        if self.private and (self._store("wrote")[words] == NEVER).any():
            raise Uninitialised("memory is changed that nobody has written", int(lanes[0]))
        self.check(("wrote", "read"), "changes atomically", words, stamps, lanes)
        self._note("changed atomically", words, stamps)

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
        lost = kept != stamps  # several lanes at one word
        if lost.any():
            np.maximum.at(store, words[lost], _together(kept[lost], stamps[lost]))


def _name(stamp: np.int64) -> str:
    who, block = int(stamp & WHO_MASK), int(stamp >> BLOCK)
    if stamp == EVERYONE:
        return "several blocks"
    thread = "several threads" if who >= SEVERAL else f"thread {who}"
    return f"{thread} of block {block}"
