"""Dropout: zeros at random places in training."""

from __future__ import annotations

from typing import Any, cast

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, asarray, backend_of
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.nn.init import Seed
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.random_numbers import default_rng, repeatable
from tinygrad_ckn.tensor import Tensor


class Dropout(Module):
    """In training, set each number to 0 with probability p and divide the others by 1 - p.

    Any shape; the identity in eval mode. A `checkpoint` that contains one draws the same
    numbers when it runs again. Source: N. Srivastava et al., Dropout, Journal of Machine
    Learning Research 15 (2014), with the division as in PyTorch in training.

    Parameters
    ----------
    p
        In [0, 1]; default 0.5.
    rng
        Generator or seed of the places, which each call draws anew. None (default): the
        next generator of the package, see `manual_seed`.

    Raises
    ------
    ConfigError
        If p is out of range, or `rng` no seed.

    Examples
    --------
    >>> layer = Dropout(0.5, rng=0)
    >>> layer(Tensor(np.ones(6))).tolist()
    [2.0, 2.0, 2.0, 0.0, 0.0, 0.0]
    >>> layer.eval()(Tensor(np.ones(6))).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """

    @plain_arguments
    def __init__(self, p: float = 0.5, *, rng: Seed = None) -> None:
        self.p = checks.number("Dropout", "p", p, "a number in [0, 1]", lambda x: 0 <= x <= 1)
        self.rng = default_rng(rng)

    def forward(self, x: Array) -> Tensor:
        """Return x with zeros in training, else x itself.

        Raises
        ------
        DTypeError
            If x is not a floating array.
        """
        checks.floating(f"Dropout({self.extra_repr()})", x=x)
        if not self.training or self.p == 0:
            return cast(Tensor, x)
        array = unwrap(x)
        # Drawn on the host, in one dtype: the places do not depend on device and dtype.
        kept: Any = repeatable(self.rng).random(array.shape, dtype="float32") >= self.p
        factors = kept * (1 / (1 - self.p) if self.p < 1 else 0.0)
        device = backend_of(array).device
        return cast(Tensor, x * Variable.wrap(asarray(factors, dtype=array.dtype, device=device)))

    def extra_repr(self) -> str:
        """Return p."""
        return f"p={self.p:g}"
