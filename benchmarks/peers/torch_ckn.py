"""A convolutional kernel network in PyTorch, written from docs/mathematics.md.

Each map is |x| kappa(<z, x>/|x|) of patches x, times (kappa(Z Z^T) + eps I)^(-1/2),
then pooled: the transform precedes the pooling, at all positions, as in the published
PyTorch network. `pool_first` swaps the two, which gives the same numbers. Maps are
channels last, which made eager steps a fifth faster on two machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class InverseSqrt(torch.autograd.Function):
    """(A + eps I)^(-1/2) with its exact gradient.

    PyTorch's own rule for eigenvectors divides by differences of eigenvalues.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, eps: float) -> Tensor:
        """Return V diag(1/r) V^T, r_i = sqrt(lambda_i + eps)."""
        values, vectors = torch.linalg.eigh(a)
        roots = (values.clamp(min=0) + eps).sqrt()
        ctx.save_for_backward(vectors, roots)
        return (vectors / roots) @ vectors.T

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        """Divide the rotated gradient by -r_i r_j (r_i + r_j)."""
        vectors, roots = ctx.saved_tensors
        divisors = torch.outer(roots, roots) * (roots[:, None] + roots)
        return -vectors @ ((vectors.T @ g @ vectors) / divisors) @ vectors.T, None


class Layer(nn.Module):
    """One layer, with the options of `CKNLayer.config`."""

    def __init__(self, options: Mapping[str, Any], pool_first: bool) -> None:
        super().__init__()
        self.kernel = options["kernel"]
        self.eps = options["eps"]
        self.pool_first = pool_first
        size = options["kernel_size"]
        subsampling = int(options["subsampling"][0])
        plain = {
            "subsampling": [subsampling] * 2,
            "pooling": "gaussian",
            "padding": "same",
            "dilation": [1, 1],
            "groups": 1,
            "center": False,
            "eps_convention": "inside",
        }
        if any(options[name] != value for name, value in plain.items()) or any(
            k % 2 == 0 for k in size
        ):
            raise ValueError(f"torch_ckn.Layer: expected odd kernels and {plain}, got {options}")
        self.padding = [k // 2 for k in size]
        self.stride = subsampling
        filters = options["n_filters"]
        self.weight = nn.Parameter(torch.empty(filters, options["in_channels"], *size))
        self.register_buffer("ones", torch.ones(1, 1, *size))
        z = torch.arange(-subsampling, subsampling + 1, dtype=torch.float64)
        weights = torch.exp(-((z / subsampling) ** 2))
        window = torch.outer(weights, weights) / weights.sum() ** 2
        # (p, 1, 2s+1, 2s+1)
        self.register_buffer("window", window.expand(filters, 1, -1, -1).contiguous())
        self._kept: Tensor | None = None

    def kappa_(self, u: Tensor) -> Tensor:
        """Return kappa of cosines, in place if autograd allows it."""
        if self.kernel["name"] == "exponential":
            alpha = 1 / self.kernel["sigma"] ** 2
            return u.mul_(alpha).sub_(alpha).exp_()
        return u.square() if self.kernel["degree"] == 2 else u.pow(self.kernel["degree"])

    def transform(self) -> Tensor:
        """Return (kappa(Z Z^T) + eps I)^(-1/2), (p, p); computed once in eval mode."""
        if self._kept is None:
            z = self.weight.flatten(1)
            transform: Tensor = InverseSqrt.apply(self.kappa_(z @ z.T), self.eps)
            if self.training:
                return transform
            self._kept = transform.detach()
        return self._kept

    def train(self, mode: bool = True) -> Layer:
        """Discard the transform, because the filters may change now."""
        self._kept = None
        super().train(mode)
        return self

    def pool(self, y: Tensor) -> Tensor:
        """Return Gaussian means around positions `stride` apart."""
        if self.stride == 1:
            return y
        return functional.conv2d(
            y, self.window, stride=self.stride, padding=self.stride, groups=y.shape[1]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the map of images (N, C, H, W)."""
        # (N, 1, H, W)
        squares = x.square().sum(dim=1, keepdim=True)
        if self.ones.numel() > 1:
            squares = functional.conv2d(squares, self.ones, padding=self.padding)
        positive = squares > 0
        safe = torch.where(positive, squares, 1).sqrt()
        norms = torch.where(positive, safe, 0)
        y = (
            self.kappa_(functional.conv2d(x, self.weight, padding=self.padding) * safe.reciprocal())
            * norms
        )
        matrix = self.transform()[:, :, None, None]
        if self.pool_first:
            return functional.conv2d(self.pool(y), matrix)
        return self.pool(functional.conv2d(y, matrix))


class Network(nn.Module):
    """Layers and a linear classifier, from our `CKN.config` and `CKN.state_dict`."""

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: Mapping[str, Any],
        *,
        dtype: torch.dtype = torch.float32,
        pool_first: bool = False,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(Layer(options, pool_first) for options in config["layers"]))
        self.classifier = nn.Linear(weights["classifier.weight"].shape[1], config["n_classes"])
        self.load_state_dict(
            {name: torch.from_numpy(array) for name, array in weights.items()}, strict=False
        )
        self.to(dtype=dtype, memory_format=torch.channels_last)

    def features(self, x: Tensor) -> Tensor:
        """Return the last map, flattened: (N, D)."""
        return self.layers(x.contiguous(memory_format=torch.channels_last)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores."""
        scores: Tensor = self.classifier(self.features(x))
        return scores


class SphereSGD:
    """SGD with momentum on the sphere: tangent gradients and velocities, renormalised rows."""

    def __init__(self, model: Network, lr: float, momentum: float) -> None:
        self.filters = [layer.weight for layer in model.layers]
        self.sgd = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)

    @torch.no_grad()
    def step(self) -> None:
        """Update all parameters."""
        for z in self.filters:
            self._project(z.grad, z)
        self.sgd.step()
        for z in self.filters:
            z.div_(z.flatten(1).norm(dim=1)[:, None, None, None])
            self._project(self.sgd.state[z]["momentum_buffer"], z)

    @staticmethod
    def _project(g: Tensor, z: Tensor) -> None:
        """Subtract from each row of g its component along the row of z."""
        g -= (g * z).sum(dim=(1, 2, 3), keepdim=True) * z
