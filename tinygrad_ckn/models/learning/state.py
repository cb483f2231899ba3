"""The state of a training that is not finished, from which it can be resumed.

A training is a sequence of stages: filters of layer 1, 2, ..., classifier, descent, and
the classifier again. Each is a function of the weights, the generator and the images
alone, so that a training resumed from the state after a stage, or after a batch of the
descent, ends with the same bits as one that was never interrupted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from tinygrad_ckn.backend import Generator, NDArray, to_numpy
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.models.network_base import NetworkBase

# "filters": layers learned. "start": the classifier that the descent starts from.
Stage: TypeAlias = Literal["filters", "start", "epoch", "batch"]
FORMAT_VERSION = 1
_CLASSIFIER = "classifier."


class DescentState(Protocol):
    """The state of a descent, as JSON values and arrays."""

    def record(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays on the host, by name."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingState:
    """The state, besides the weights, after a stage of a training.

    It refers to objects that go on changing: `record` and `arrays` are to be called at
    once.

    Attributes
    ----------
    stage : str
        What was done last.
    done : int
        Layers learned, epochs done, or batches done in the epoch after those.
    model : Network
        The model that is trained.
    rng : Generator
        All random numbers to come are drawn from it.
    identity : Identity
        The images and options of the training.
    descent : DescentState or None
        After "start": optimiser, schedule, best epoch and validation set.
    """

    stage: Stage
    done: int
    model: NetworkBase
    rng: Generator
    identity: Identity
    descent: DescentState | None = None

    def record(self) -> dict[str, Any]:
        """Return the state, except arrays, as JSON values."""
        return {
            "state_version": FORMAT_VERSION,
            "stage": self.stage,
            "done": self.done,
            "generator": generator_state(self.rng),
            "images": self.identity.digest,
            "options": dict(self.identity.options),
            **({} if self.descent is None else self.descent.record()),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the state on the host, by name."""
        return {} if self.descent is None else self.descent.arrays()


@dataclass(frozen=True, eq=False)
class Identity:
    """The images, labels and options that a resumed training must have in common.

    Attributes
    ----------
    fingerprints, labels : array
        Of the training images, (n,).
    weights : array or None
        Of the images, (n,).
    options : Mapping
        The arguments of `fit`, as JSON values.
    """

    fingerprints: NDArray[np.int64]
    labels: NDArray[Any]
    weights: NDArray[Any] | None
    options: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the fingerprints, labels and weights, in hexadecimal digits."""
        digest = hashlib.sha256()
        for array in (self.fingerprints, self.labels, self.weights):
            if array is not None:
                host = to_numpy(array)
                digest.update(f"{host.dtype} {host.shape}".encode())
                digest.update(np.ascontiguousarray(host).data)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class SavedState:
    """A `TrainingState` read from a file.

    Attributes
    ----------
    source : str
        The file, for error messages.
    record, arrays : Mapping
        From `TrainingState.record` and `arrays`.
    weights, best_weights : Mapping
        Arrays of the model by name: the last ones, and those of the best epoch.
    """

    source: str
    record: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    weights: Mapping[str, NDArray[Any]]
    best_weights: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        """The stage that was completed last."""
        stage: Stage = self.record["stage"]
        return stage

    def named(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return the arrays whose names begin with a prefix, without it."""
        return {
            name.removeprefix(prefix): array
            for name, array in self.arrays.items()
            if name.startswith(prefix)
        }

    @property
    def n_layers(self) -> int | None:
        """The number of layers whose filters were learned; None: all."""
        return int(self.record["done"]) if self.stage == "filters" else None

    def restore(self, model: NetworkBase, identity: Identity, rng: Generator) -> None:
        """Set weights and generator, after checking that images and options are the same.

        Raises
        ------
        DataError
            If the images, labels or options are others, or the state is damaged.
        """
        self._check(identity)
        current = model.state_dict()
        if current.keys() != self.weights.keys():
            raise DataError(
                f"{self.source}: expected the state of a network with the arrays "
                f"{', '.join(current)}, got {', '.join(self.weights)}; resume with the same model"
            )
        learned = dict(self.weights)
        if self.stage == "filters":
            # The classifier has not been fitted to these filters.
            learned |= {name: x for name, x in current.items() if name.startswith(_CLASSIFIER)}
        model.load_state_dict(learned)
        if self.stage == "filters":
            model._mark_unfitted()
        set_generator(rng, self.record["generator"], self.source)

    def _check(self, identity: Identity) -> None:
        """Raise a DataError unless the training had the same images and options."""
        record = self.record
        if record.get("state_version") != FORMAT_VERSION:
            raise DataError(
                f"{self.source}: expected the state of an unfinished training, of version "
                f"{FORMAT_VERSION}, got {record.get('state_version')}; start the training again"
            )
        if record.get("images") != identity.digest:
            raise DataError(
                f"{self.source}: expected the images, labels and weights of the training that is "
                "resumed, in the same order, got others; pass the same ones, or start a new "
                "training"
            )
        saved = record.get("options", {})
        for name, value in identity.options.items():
            if saved.get(name) != value:
                expected, got = _difference(saved.get(name), value)
                raise DataError(
                    f"{self.source}: argument {name} expected {expected}, as in the training that "
                    f"is resumed, got {got}; pass the same options, or start a new training"
                )


@dataclass(frozen=True, eq=False)
class Course:
    """A training on its way: its identity, its generator, and the state it began from.

    Attributes
    ----------
    model : Network
        The model that is trained.
    identity : Identity
        Images and options.
    rng : Generator
        All random numbers of the training are drawn from it.
    saved : SavedState or None
        The state that the training was resumed from. None: it began at the beginning.
    """

    model: NetworkBase
    identity: Identity
    rng: Generator
    saved: SavedState | None = None

    @classmethod
    def of(cls, model: NetworkBase, rng: Generator) -> Course:
        """Return the course of a training that will not be resumed."""
        nothing = np.zeros(0, np.int64)
        return cls(model, Identity(nothing, nothing, None, {}), rng)

    @classmethod
    def resumed(
        cls, model: NetworkBase, identity: Identity, rng: Generator, saved: SavedState
    ) -> Course:
        """Return the course of a training from a saved state, which is restored."""
        saved.restore(model, identity, rng)
        return cls(model, identity, rng, saved)

    @property
    def n_layers(self) -> int | None:
        """The number of layers whose filters are learned already; None: all."""
        return 0 if self.saved is None else self.saved.n_layers

    @property
    def descent(self) -> SavedState | None:
        """The state of the descent that was resumed; None: it begins."""
        saved = self.saved
        return None if saved is None or saved.stage == "filters" else saved

    def state(self, stage: Stage, done: int, descent: DescentState | None = None) -> TrainingState:
        """Return the present state."""
        return TrainingState(stage, done, self.model, self.rng, self.identity, descent)


def _difference(expected: Any, got: Any) -> tuple[str, str]:
    """Return two values as text; of two mappings the first entry that differs."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for name in (*expected, *got):
            if expected.get(name) != got.get(name):
                return f"{name} {expected.get(name)!r}", f"{name} {got.get(name)!r}"
    return repr(expected), repr(got)


def generator_state(rng: Generator) -> dict[str, Any]:
    """Return the state of a generator as JSON values.

    Examples
    --------
    >>> generator_state(np.random.default_rng(0))["bit_generator"]
    'PCG64'
    """
    return {name: _as_json(value) for name, value in rng.bit_generator.state.items()}


def _as_json(value: Any) -> Any:
    """Return lists in place of arrays, at any depth."""
    if isinstance(value, Mapping):
        return {name: _as_json(part) for name, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def set_generator(rng: Generator, state: Mapping[str, Any], source: str) -> None:
    """Set the state of a generator to a saved one.

    Raises
    ------
    DataError
        If it is the state of another kind of generator, or damaged.
    """
    try:
        rng.bit_generator.state = dict(state)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        kind = type(rng.bit_generator).__name__
        raise DataError(
            f"{source}: expected the state of a generator {kind}, got "
            f"{str(dict(state).get('bit_generator'))[:40]!r}; pass a generator of that kind"
        ) from error
