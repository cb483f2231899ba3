"""Loss and hits of each step, kept on the device and read every 100 steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_ckn.backend import NDArray, asarray, backend_of, to_numpy
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.tensor import Tensor

# Steps between two reads from a GPU.
READ_EVERY = 100


class StepLog:
    """Objective and hits of each step of an epoch, so that no step waits for a GPU.

    Parameters
    ----------
    parameters : sequence of Tensor
        The trained parameters, checked for NaN and infinity at each read from a GPU.
    images : array
        Of the epoch (N, C, H, W); only their number and device are used.
    batch_size : int
        Images per step; the last step has the remaining ones.
    """

    def __init__(self, parameters: Sequence[Tensor], images: NDArray[Any], batch_size: int) -> None:
        backend = backend_of(images)
        n = len(images)
        self.parameters = parameters
        self.xp = backend.xp
        self.sizes = [min(batch_size, n - start) for start in range(0, n, batch_size)]
        self.read_every = READ_EVERY if backend.asynchronous else 1
        # Rows: objective, hits, number of parameters that are not finite.
        self._table = backend.xp.zeros((3, len(self.sizes)))
        self._host_table: NDArray[np.float64] = np.zeros((3, len(self.sizes)))

    def steps(self) -> NDArray[np.float64]:
        """Return objective, hits and broken parameters of all steps so far, (3, steps)."""
        return to_numpy(self._table)

    def resume(self, steps: NDArray[np.float64]) -> None:
        """Continue from what `steps` returned."""
        self._table = asarray(steps, device=backend_of(self._table).device)
        self._host_table = to_numpy(self._table)

    def record(self, step: int, objective: NDArray[Any], hits: NDArray[Any]) -> float | None:
        """Record the results of a step; return its objective, or None if not read yet.

        Raises
        ------
        GradientError
            If the objective of a step, or a parameter, is NaN or infinite.
        """
        self._table[0, step] = objective
        self._table[1, step] = hits
        done = step + 1
        if done % self.read_every and done < len(self.sizes):
            return None
        # On the CPU each step has checked the parameters itself.
        if self.read_every > 1:
            for parameter in self.parameters:
                self._table[2, step] += ~self.xp.isfinite(parameter.data).all()
        self._read(done)
        return float(self._host_table[0, step])

    def _read(self, done: int) -> None:
        """Copy the table to the host, and check the steps done so far."""
        self._host_table = to_numpy(self._table)
        broken = ~np.isfinite(self._host_table[0, :done])
        if broken.any():
            raise GradientError(f"first in the loss of batch {int(broken.argmax()) + 1}")
        if self._host_table[2, done - 1]:
            raise GradientError(f"first in a parameter, by batch {done}")

    @property
    def loss(self) -> float:
        """The mean objective over the images, after the last step."""
        objectives: list[Any] = self._host_table[0].tolist()
        total = 0.0
        for objective, size in zip(objectives, self.sizes, strict=True):
            total += objective * size
        return total / sum(self.sizes)

    @property
    def accuracy(self) -> float:
        """The share of hits over the images, after the last step."""
        return float(self._host_table[1].sum()) / sum(self.sizes)
