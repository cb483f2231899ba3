"""What the steps of an epoch gave, kept where it was computed: a GPU is asked for it now and then, no step waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_ckn.backend import CPU, backend_of, to_numpy
from tinygrad_ckn.errors import GradientError

# steps on a GPU
READ_EVERY = 100


class StepLog:
    """Objective and hits of each step, and at times whether the parameters are still finite.

    Parameters
    ----------
    parameters
        What is trained.
    images
        Of the epoch; they say how many there are, and where.
    batch_size
        Of all steps but the last, which has what is left.
    """

    def __init__(self, parameters: Sequence[Any], images: Any, batch_size: int) -> None:
        backend = backend_of(images)
        self.parameters, self.xp = parameters, backend.xp
        self.sizes = [
            min(batch_size, len(images) - start) for start in range(0, len(images), batch_size)
        ]
        self.every = READ_EVERY if backend.asynchronous else 1
        self.table = backend.xp.zeros(
            (3, len(self.sizes))
        )  # objective, hits, arrays that are not finite
        # the table on the host
        self.found: Any = None

    def put(self, step: int, objective: Any, hits: Any) -> float | None:
        """Take down what a step gave, from 0; return its objective, or None where it is not yet read.

        Raises
        ------
        GradientError
            If the objective of a step, or a parameter by now, is NaN or infinite.
        """
        self.table[0, step], self.table[1, step] = objective, hits
        done = step + 1
        if done % self.every and done < len(self.sizes):
            return None
        # elsewhere each step has looked
        if self.every > 1:
            for parameter in self.parameters:
                self.table[2, step] += ~self.xp.isfinite(parameter.data).all()
        self._check(done)
        return float(self.found[0, step])

    def _check(self, done: int) -> None:
        """Copy the table to the host, and look at the steps that are done."""
        self.found = to_numpy(self.table)
        broken = ~CPU.xp.isfinite(self.found[0, :done])
        if broken.any():
            raise GradientError(f"first in the loss of batch {int(broken.argmax()) + 1}")
        if self.found[2, done - 1]:
            raise GradientError(f"first in a parameter, by batch {done}")

    @property
    def loss(self) -> float:
        """The mean objective, when all steps are done."""
        total = 0.0
        for objective, size in zip(self.found[0].tolist(), self.sizes, strict=True):
            total += objective * size
        return total / sum(self.sizes)

    @property
    def accuracy(self) -> float:
        """The share of hits, when all steps are done."""
        return float(self.found[1].sum()) / sum(self.sizes)
