"""Long short-term memory. T steps, N batch, I inputs, H units."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, DTypeLike, Shape, xp_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.nn import init
from tinygrad_ckn.nn.init import Seed
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.nn.parameter import Parameter
from tinygrad_ckn.nn.recurrence import lstm_sequence
from tinygrad_ckn.ops.join import concatenate, stack
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.ops.shape import swapaxes
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.random_numbers import default_rng
from tinygrad_ckn.tensor import Tensor


class LSTM(Module):
    """Long short-term memory: sequences (T, N, I) -> (T, N, H), and the last state.

    For each step, with s the logistic function and * element by element:

        i, f, o = s(W_i x + b_i + U_i h + d_i), and so with W_f .. and W_o ..
        z = tanh(W_z x + b_z + U_z h + d_z)
        c <- f * c + i * z
        h <- o * tanh(c)

    Names, order of the gates (i, f, z, o) and shapes as PyTorch's. Source: S. Hochreiter
    and J. Schmidhuber, Long short-term memory, Neural Computation 9 (1997), with the forget
    gate of F. Gers, J. Schmidhuber and F. Cummins, Learning to forget, Neural Computation
    12 (2000).

    Parameters
    ----------
    input_size, hidden_size
        I and H, at least 1.
    num_layers
        Number of layers, each of which reads the sequence h of the one before; default 1.
    bias
        Whether there are b and d; default True.
    batch_first
        Whether sequences are (N, T, I) and (N, T, H); default False. States are (layers,
        N, H) either way.
    rng
        Generator or seed that all parameters are drawn with, uniform in (-1 / sqrt(H), 1 /
        sqrt(H)). None (default): the next generator of the package, see `manual_seed`.
    dtype
        Of the parameters; default float32.

    Raises
    ------
    ConfigError
        If a size is not a positive integer.

    Examples
    --------
    >>> layer = LSTM(3, 5, rng=0)
    >>> y, (h, c) = layer(Tensor(np.ones((7, 2, 3), np.float32)))
    >>> y.shape, h.shape, c.shape
    ((7, 2, 5), (1, 2, 5), (1, 2, 5))
    >>> list(layer.state_dict())
    ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0']
    """

    @plain_arguments
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        rng: Seed = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        checks.integers(
            "LSTM", input_size=input_size, hidden_size=hidden_size, num_layers=num_layers
        )
        self.input_size = int(input_size)
        self.hidden_size = int(hidden_size)
        self.num_layers = int(num_layers)
        self.bias = bool(bias)
        self.batch_first = bool(batch_first)
        bound = 1 / math.sqrt(self.hidden_size)
        generator = default_rng(rng)
        gates = 4 * self.hidden_size
        for layer in range(self.num_layers):
            width = self.input_size if layer == 0 else self.hidden_size
            shapes: dict[str, Shape] = {
                "weight_ih": (gates, width),
                "weight_hh": (gates, self.hidden_size),
            }
            if self.bias:
                shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
            for name, shape in shapes.items():
                values = init.uniform(shape, low=-bound, high=bound, rng=generator, dtype=dtype)
                setattr(self, f"{name}_l{layer}", Parameter(values))

    def __call__(  # type: ignore[override]
        self, x: Array, state: tuple[Array, Array] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return `forward(x, state)`."""
        return self.forward(x, state)

    def forward(  # type: ignore[override]
        self, x: Array, state: tuple[Array, Array] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the sequence h of the last layer, and the last (h, c) of all layers.

        Parameters
        ----------
        x
            Sequences (T, N, I), or (N, T, I) with `batch_first`; floating, T at least 1.
        state
            (h, c) before the first step, each (layers, N, H); None (default): zeros.

        Raises
        ------
        ShapeError
            If a shape is not as above.
        DTypeError
            If x is not a floating array.
        """
        owner = f"LSTM({self.extra_repr()})"
        checks.floating(owner, x=x)
        first = "N, T" if self.batch_first else "T, N"
        if len(x.shape) != 3 or x.shape[2] != self.input_size or not x.shape[self.batch_first]:
            raise ShapeError(
                f"{owner}: argument x expected shape ({first}, {self.input_size}) with T >= 1, "
                f"got {x.shape}"
            )
        steps: Any = swapaxes(x, 0, 1) if self.batch_first else x
        starts = self._starts(owner, steps, state)
        last = []
        for layer, start in enumerate(starts):
            steps, end = self._layer(layer, steps, start)
            last.append(end)
        ends = stack(last, axis=0)
        h, c = ends[:, :, : self.hidden_size], ends[:, :, self.hidden_size :]
        return swapaxes(steps, 0, 1) if self.batch_first else steps, (h, c)

    def _starts(self, owner: str, steps: Any, state: tuple[Array, Array] | None) -> list[Any]:
        """Return the state (N, 2H) before the first step, for each layer."""
        n = steps.shape[1]
        if state is None:
            array = unwrap(steps)
            zeros = xp_of(array).zeros((n, 2 * self.hidden_size), dtype=array.dtype)
            return [Variable.wrap(zeros)] * self.num_layers
        expected = (self.num_layers, n, self.hidden_size)
        shapes = [getattr(part, "shape", None) for part in state]
        if shapes != [expected, expected]:
            raise ShapeError(
                f"{owner}: argument state expected (h, c), each of shape {expected}, got {shapes}"
            )
        h, c = state
        return [concatenate([h[k], c[k]], axis=1) for k in range(self.num_layers)]

    def _layer(self, layer: int, steps: Any, state: Any) -> tuple[Tensor, Any]:
        """Return the sequence (T, N, H) of a layer, and its last state (N, 2H)."""
        own = {
            name: getattr(self, f"{name}_l{layer}")
            for name in ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") * self.bias))
        }
        # of all steps at once
        inputs = matmul(steps, own["weight_ih"].T)
        if self.bias:
            inputs = inputs + (own["bias_ih"] + own["bias_hh"])
        states = lstm_sequence(inputs, state, own["weight_hh"])
        return states[:, :, : self.hidden_size], states[-1]

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        layers = f", num_layers={self.num_layers}" if self.num_layers > 1 else ""
        bias = "" if self.bias else ", bias=False"
        batch_first = ", batch_first=True" if self.batch_first else ""
        return f"{self.input_size} -> {self.hidden_size}{layers}{bias}{batch_first}"
