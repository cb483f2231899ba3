"""The GPU launches of a network's forward and backward pass, layer by layer, with costs.

It follows `tinygrad_ckn/cuda/ckn_map.py` and `correlate.py` for layers as in the
presets: no stride, zero padding that keeps the size, one group. The classifier, the
optimiser and the filters' Gram matrices are omitted: these matrices are small.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import costs
from benchmarks.costs import Cost

# (operations of kappa, operations of its derivative given the value)
_EXPONENTIAL = (1, 0)
_POLYNOMIAL = (1, 1)


@dataclass(frozen=True)
class Layer:
    """Shapes of a layer: n images of c channels, size x size, p filters k x k, subsampling s."""

    n: int
    c: int
    size: int
    p: int
    k: int
    s: float
    kappa: tuple[int, int]

    @property
    def pooled(self) -> int:
        """Side of the pooled map."""
        from tinygrad_ckn.ops.pool_matrices import gaussian_size

        return gaussian_size((self.size, self.size), (self.s, self.s))[0]

    def forward(self) -> Iterator[Cost]:
        """Yield the launches of the map."""
        n = self.n
        c = self.c
        p = self.p
        k = self.k
        side = self.size
        length = self.size**2
        yield costs.squares(n, c, side, side)
        yield costs.norms(n, side, side, k, k, length)
        if k > 1:
            yield costs.unfold(n, c, side, side, k, k, length)
        yield costs.matmul(n, p, c * k * k, length)
        yield costs.kappa_map(n, p, length, self.kappa[0])
        if self.s > 1:
            yield costs.pooling(n, p, side, side, self.pooled, self.pooled, self.s)
        yield costs.matmul(n, p, p, self.pooled**2)

    def backward(self, *, of_images: bool) -> Iterator[Cost]:
        """Yield the launches of its gradient, with that of the images if `of_images`."""
        n = self.n
        c = self.c
        p = self.p
        k = self.k
        side = self.size
        length = self.size**2
        # tensordot first copies both operands into the order of the axes
        for _ in range(2):
            yield costs.copy(p, n * self.pooled**2)
        yield costs.matmul_each(1, p, n * self.pooled**2, p)
        yield costs.matmul(n, p, p, self.pooled**2)
        if self.s > 1:
            yield costs.pooling_adjoint(n, p, side, side, self.pooled, self.pooled, self.s)
        yield costs.map_vjp(n, p, length, *self.kappa)
        if k > 1:
            yield costs.unfold(n, c, side, side, k, k, length)
        yield costs.matmul_each(n, p, length, c * k * k)
        yield costs.add_up(n, p, c * k * k)
        if of_images:
            yield costs.matmul(n, c * k * k, p, length)
            if k > 1:
                yield costs.fold(n, c, side, side, k, k, length)
            yield costs.add_squares(n, c, side, side, k, k, length)


def layers_of(name: str, n: int) -> list[Layer]:
    """Return the layers of a preset for n images of 3x32x32."""
    from tinygrad_ckn.models.kernels import Exponential
    from tinygrad_ckn.models.presets import get_preset

    channels = 3
    size = 32
    layers = []
    for options in get_preset(name).layers:
        kappa = _EXPONENTIAL if isinstance(options["kernel"], Exponential) else _POLYNOMIAL
        shape = options["n_filters"], options["kernel_size"], options["subsampling"]
        layers.append(Layer(n, channels, size, *shape, kappa))
        channels = options["n_filters"]
        size = layers[-1].pooled
    return layers


def encoding(name: str, n: int) -> list[Cost]:
    """Return the launches of encoding n images of 3x32x32 by a preset, with known factors."""
    return [cost for layer in layers_of(name, n) for cost in layer.forward()]


def training(name: str, n: int) -> list[Cost]:
    """Return the launches of a training step of a preset on n images of 3x32x32."""
    layers = layers_of(name, n)
    roots = [costs.inverse_root(1, layer.p) for layer in layers]
    backward = [cost for i, layer in enumerate(layers) for cost in layer.backward(of_images=i > 0)]
    return [*roots, *encoding(name, n), *backward]
