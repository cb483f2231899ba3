"""The gradient map: image gradients, embedded by their orientations.

rho and theta are a gradient's length and angle, u = (cos theta, sin theta), and z_j the
n unit vectors of angles 2 pi j / n, the rows of Z. Two gradients have the kernel

    K = rho rho' kappa(<u, u'>),    kappa(c) = exp((c - 1) / sigma^2),

with exp(-|u - u'|^2 / (2 sigma^2)) of the orientations. Its Nystrom embedding on the
z_j is a layer of a CKN with 1x1 filters on images of two channels. (Bo, Ren, Fox 2010;
Mairal et al. 2014, arXiv 1406.3332, where kappa(Z u) is the embedding; Mairal 2016,
arXiv 1605.06265, for the Nystrom factor.)
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.backend import CPU, Shape, is_whole, xp_of
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.kernels import Exponential
from tinygrad_ckn.models.preprocessing.base import Preprocessor, applied, image_shape
from tinygrad_ckn.nn.blank import blank
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import is_finite


def image_gradients(x: Any) -> Any:
    """Return the gradient at each pixel, (N, 2, H, W): horizontal, vertical; of the channel where it is longest.

    Differences are central, and one-sided at the border. Of channels with gradients of
    one length the first is taken.

    Parameters
    ----------
    x
        Images (N, C, H, W), floating, of at least 2 x 2 pixels; Tensors or arrays.

    Raises
    ------
    ShapeError, DTypeError
        If they are not such.

    Examples
    --------
    >>> image_gradients(np.array([[[[0.0, 1.0, 4.0], [3.0, 4.0, 7.0]]]])).tolist()
    [[[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], [[3.0, 3.0, 3.0], [3.0, 3.0, 3.0]]]]
    """
    shape = image_shape("image_gradients", x)
    if min(shape[2:]) < 2:
        raise ShapeError(
            f"image_gradients: argument x expected images of at least 2 x 2 pixels, got shape {shape}"
        )
    along, down = _differences(x), _differences(x.swapaxes(2, 3)).swapaxes(2, 3)
    # (N, H, W)
    longest = (unwrap(along) ** 2 + unwrap(down) ** 2).argmax(axis=1)
    chosen = longest[:, None] == xp_of(longest).arange(shape[1])[:, None, None]
    return ops.stack(
        [ops.where(chosen, gradient, 0).sum(axis=1) for gradient in (along, down)], axis=1
    )


def _differences(x: Any) -> Any:
    """Return the derivative along the last axis."""
    ends = [x[..., 1:2] - x[..., :1], x[..., -1:] - x[..., -2:-1]]
    return ops.concatenate([ends[0], (x[..., 2:] - x[..., :-2]) / 2, ends[1]], axis=-1)


class GradientMap(Preprocessor):
    """Gradients embedded by orientation: (N, C, H, W) -> (N, n_orientations, H, W); nothing is learned.

    psi = rho (kappa(Z Z^T) + eps I)^(-1/2) kappa(Z u), and exactly 0, with a zero
    derivative, where the gradient is 0; see the top of the module, and
    `image_gradients`.

    Parameters
    ----------
    n_orientations
        n >= 2.
    sigma
        Of the kernel, > 0; None: the distance of neighbouring z_j, 2 sin(pi / n), as in
        Mairal et al. 2014.
    eps
        Regularisation inside the inverse square root, > 0.

    Raises
    ------
    ConfigError
        If an option is out of its range.
    ShapeError, DTypeError
        If images are not floating ones of shape (N, C, H, W), of at least 2 x 2 pixels.

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
        if not is_whole(n_orientations, 2):
            raise ConfigError(
                f"GradientMap: argument n_orientations expected a number >= 2, got {n_orientations!r}"
            )
        if not is_finite(eps) or eps <= 0:
            raise ConfigError(f"GradientMap: argument eps expected a number > 0, got {eps!r}")
        self.n_orientations = int(n_orientations)
        self.eps = float(eps)
        self.kernel = Exponential(
            2 * math.sin(math.pi / n_orientations) if sigma is None else float(sigma)
        )
        n = self.n_orientations
        values = blank((n, 2, 1, 1), "float64"), blank((n, n), "float64")
        if values[0] is not None:
            self.weight, self.transform = map(Tensor, values)
            return
        angles = CPU.xp.arange(n_orientations) * (2 * math.pi / n_orientations)
        # (n, 2)
        z = CPU.xp.stack([CPU.xp.cos(angles), CPU.xp.sin(angles)], axis=1)
        self.weight = Tensor(z[:, :, None, None])
        self.transform = Tensor(ops.inverse_sqrt(self.kernel.kappa(z @ z.T), eps=self.eps))

    def forward(self, x: Any) -> Any:
        """Return the maps (N, n_orientations, H, W): an array for an array, a Tensor, with gradients, for a Tensor."""
        n, channels, height, width = image_shape("GradientMap", x)
        weight, transform = (
            buffer.data.astype(x.dtype) for buffer in (self.weight, self.transform)
        )

        kappa: Any = self.kernel.fused()

        def embedded(images: Any) -> Any:
            return ops.ckn_map(
                image_gradients(images),
                weight,
                kappa,
                transform,
                padding="valid",
            )

        size = (4 * channels + 2 * self.n_orientations) * height * width * x.dtype.itemsize
        return applied(embedded, x, (n, self.n_orientations, height, width), size)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (n_orientations, H, W) of an image of shape (C, H, W)."""
        if min(shape[1:]) < 2:
            raise ShapeError(
                f"GradientMap: expected images of at least 2 x 2 pixels, got {tuple(shape[1:])}"
            )
        return self.n_orientations, *shape[1:]

    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments, as JSON takes them."""
        options = {
            "n_orientations": self.n_orientations,
            "sigma": self.kernel.sigma,
            "eps": self.eps,
        }
        return {"name": self.name, **options}
