"""The random generators of the library: the package generator, and those made of seeds."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextvars import ContextVar, Token

import numpy as np

from tinygrad_ckn.array_types import Generator
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.integers import is_whole


class _PackageGenerator:
    """The source of randomness without `rng=`: a new generator for each request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._root = np.random.SeedSequence(0)

    def seed(self, seed: int) -> None:
        with self._lock:
            self._root = np.random.SeedSequence(seed)

    def next(self) -> Generator:
        with self._lock:
            (child,) = self._root.spawn(1)
        return np.random.default_rng(child)


_package_generator = _PackageGenerator()


def manual_seed(seed: int) -> None:
    """Seed the package generator, the default of every `rng=`.

    At first the seed is 0, so a script without any seed gives the same numbers each
    time it runs. Each module, fit or other call that is random takes the next generator
    of the sequence, so that two layers of one shape differ; the same calls after the
    same seed give the same numbers. An explicit `rng=0` neither reads nor moves the
    sequence. Threads share it and take turns as they come: pass `rng` where several
    threads make models at once.

    Parameters
    ----------
    seed
        An integer >= 0.

    Raises
    ------
    ConfigError
        If it is not.

    Examples
    --------
    >>> from tinygrad_ckn import manual_seed, nn
    >>> manual_seed(1)
    >>> first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    >>> bool((first.weight.data == second.weight.data).any())
    False
    >>> manual_seed(1)
    >>> bool((nn.Linear(2, 2).weight.data == first.weight.data).all())
    True
    """
    if not is_whole(seed, 0):
        raise ConfigError(f"manual_seed: argument seed expected an integer >= 0, got {seed!r}")
    _package_generator.seed(int(seed))


def default_rng(seed: int | Generator | None = None) -> Generator:
    """Return a generator: `seed` itself, one made from it, or the package's next.

    All randomness of the library comes from here, and is drawn on the host.
    """
    if seed is None:
        return _package_generator.next()
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            "argument rng expected a seed >= 0, a numpy.random.Generator or None, got "
            f"{seed!r} ({error})"
        ) from error


class Tape:
    """The states of the generators that were drawn from in one run, for another run.

    Within `with tape:` each `repeatable(rng)` is recorded; after `tape.rewind()`, it
    returns a generator with the recorded state instead.
    """

    def __init__(self) -> None:
        self._states: list[Generator] = []
        self._next: Iterator[Generator] | None = None
        self._token: Token[tuple[Tape, ...]] | None = None

    @property
    def repeats(self) -> bool:
        """Whether this is not the first run."""
        return self._next is not None

    def rewind(self) -> Tape:
        """Begin again; return self."""
        self._next = iter(self._states)
        return self

    def take(self, rng: Generator) -> Generator:
        """Record a generator, or return the next of those recorded."""
        if self._next is None:
            self._states.append(copy.deepcopy(rng))
            return rng
        return copy.deepcopy(next(self._next, rng))

    def __enter__(self) -> None:
        self._token = _tapes.set((*_tapes.get(), self))

    def __exit__(self, *error: object) -> None:
        if self._token is not None:
            _tapes.reset(self._token)


# those of the runs entered in this context, the outermost first
_tapes: ContextVar[tuple[Tape, ...]] = ContextVar("_tapes", default=())


def repeatable(rng: Generator) -> Generator:
    """Return `rng`, or where a run is repeated a generator in the state of its first run.

    Layers that are random in each call draw through this.
    """
    for tape in _tapes.get():
        rng = tape.take(rng)
    return rng


def is_repeating() -> bool:
    """Return whether a run is being repeated, so that layers are not to count it again."""
    return any(tape.repeats for tape in _tapes.get())
