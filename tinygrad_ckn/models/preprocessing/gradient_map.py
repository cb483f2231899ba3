"""The gradient map: image gradients embedded by orientation.

rho and theta are a gradient's length and angle, u = (cos theta, sin theta), and z_j the n
unit vectors of angles 2 pi j / n, the rows of Z. Two gradients have the kernel

    K = rho rho' kappa(<u, u'>),    kappa(c) = exp((c - 1) / sigma^2),

which is exp(-|u - u'|^2 / (2 sigma^2)) of the orientations. Its Nystrom embedding on the
z_j is a CKN layer with 1x1 filters on images of two channels (Bo, Ren, Fox 2010; Mairal et
al. 2014, arXiv 1406.3332, where kappa(Z u) is the embedding; Mairal 2016, arXiv
1605.06265, for the Nystrom factor).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_ckn import checks, ops
from tinygrad_ckn.backend import Array, Images, Shape, xp_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.kernels import Exponential
from tinygrad_ckn.models.preprocessing.base import Preprocessor, apply_in_blocks, image_shape
from tinygrad_ckn.nn.blank import blank
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor


def image_gradients(x: Images) -> Tensor:
    """Return the gradient at each pixel, (N, 2, H, W): horizontal, vertical.

    It is that of the channel with the longest gradient (ties: the first). Differences are
    central, and one-sided at the border.

    Parameters
    ----------
    x : array or Tensor
        Images (N, C, H, W), floating, of at least 2 x 2 pixels.

    Raises
    ------
    ShapeError, DTypeError
        If they are not.

    Examples
    --------
    >>> image_gradients(np.array([[[[0.0, 1.0, 4.0], [3.0, 4.0, 7.0]]]])).tolist()
    [[[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], [[3.0, 3.0, 3.0], [3.0, 3.0, 3.0]]]]
    """
    shape = image_shape("image_gradients", x)
    if min(shape[2:]) < 2:
        raise ShapeError(
            "image_gradients: argument x expected images of at least 2 x 2 pixels, "
            f"got shape {shape}"
        )
    horizontal = _differences(x)
    vertical = _differences(x.swapaxes(2, 3)).swapaxes(2, 3)
    # (N, H, W)
    longest = (unwrap(horizontal) ** 2 + unwrap(vertical) ** 2).argmax(axis=1)
    chosen = longest[:, None] == xp_of(longest).arange(shape[1])[:, None, None]
    gradients = [ops.where(chosen, gradient, 0).sum(axis=1) for gradient in (horizontal, vertical)]
    return ops.stack(gradients, axis=1)


def _differences(x: Array) -> Tensor:
    """Return the derivative along the last axis."""
    ends = [x[..., 1:2] - x[..., :1], x[..., -1:] - x[..., -2:-1]]
    return ops.concatenate([ends[0], (x[..., 2:] - x[..., :-2]) / 2, ends[1]], axis=-1)


class GradientMap(Preprocessor):
    """Embed gradients by orientation: (N, C, H, W) -> (N, n_orientations, H, W).

    psi = rho (kappa(Z Z^T) + eps I)^(-1/2) kappa(Z u), and exactly 0, with a zero
    derivative, where the gradient is 0; the head of the module defines the symbols.
    Nothing is fitted.

    Parameters
    ----------
    n_orientations : int, default 12
        n >= 2.
    sigma : float or None, default None
        Of the kernel, > 0. None: the distance of neighbouring z_j, 2 sin(pi / n), as in
        Mairal et al. 2014.
    eps : float, default 1e-3
        Regularisation inside the inverse square root, > 0.

    Raises
    ------
    ConfigError
        If an option is out of range.
    ShapeError, DTypeError
        If images are not floating, or not of shape (N, C, H, W) with at least 2 x 2
        pixels.

    Examples
    --------
    >>> GradientMap(4)(np.eye(3)[None, None]).shape
    (1, 4, 3, 3)
    """

    name = "gradient_map"

    @plain_arguments
    def __init__(
        self, n_orientations: int = 12, *, sigma: float | None = None, eps: float = 1e-3
    ) -> None:
        checks.integers("GradientMap", 2, n_orientations=n_orientations)
        checks.positive("GradientMap", eps=eps)
        self.n_orientations = n = int(n_orientations)
        self.eps = float(eps)
        self.kernel = Exponential(2 * math.sin(math.pi / n) if sigma is None else float(sigma))
        weight = blank((n, 2, 1, 1), "float64")
        if weight is not None:
            self.weight = Tensor(weight)
            self.transform = Tensor(blank((n, n), "float64"))
            return
        angles = np.arange(n) * (2 * math.pi / n)
        # (n, 2)
        z = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        self.weight = Tensor(z[:, :, None, None])
        self.transform = Tensor(ops.inverse_sqrt(self.kernel.kappa(z @ z.T), eps=self.eps))

    def forward(self, x: Images) -> Tensor:
        """Return maps (N, n_orientations, H, W): an array for an array, a Tensor for a Tensor."""
        n, channels, height, width = image_shape("GradientMap", x)
        weight = self.weight.data.astype(x.dtype)
        transform = self.transform.data.astype(x.dtype)
        kappa: Any = self.kernel.fused()

        def embed(images: Array) -> Tensor:
            gradients = image_gradients(images)
            return ops.ckn_map(gradients, weight, kappa, transform, padding="valid")

        size = (4 * channels + 2 * self.n_orientations) * height * width * x.dtype.itemsize
        return apply_in_blocks(embed, x, (n, self.n_orientations, height, width), size)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (n_orientations, H, W) for an image of shape (C, H, W).

        Raises
        ------
        ShapeError
            If it has fewer than 2 x 2 pixels.
        """
        if min(shape[1:]) < 2:
            raise ShapeError(
                f"GradientMap: expected images of at least 2 x 2 pixels, got {tuple(shape[1:])}"
            )
        return self.n_orientations, *shape[1:]

    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments as JSON values."""
        options = {
            "n_orientations": self.n_orientations,
            "sigma": self.kernel.sigma,
            "eps": self.eps,
        }
        return {"name": self.name, **options}
