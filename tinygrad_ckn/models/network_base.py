"""The half of a network that computes: preprocessing, features and scores, in batches.

`network.py` adds what users call on data. The two are separate because the functions of
`learning/` work on a `NetworkBase` and the methods of `Network` call them.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import (
    Array,
    Images,
    NDArray,
    Shape,
    Vectors,
    asarray,
    backend_of,
    use,
    xp_of,
)
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.grad_mode import evaluation, modes, no_grad
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.lazy_images import as_lazy, is_lazy
from tinygrad_ckn.models import batched
from tinygrad_ckn.models.checks import (
    check_device,
    check_finite,
    check_results,
)
from tinygrad_ckn.models.network_structure import NetworkStructure
from tinygrad_ckn.profiling import record_function
from tinygrad_ckn.tensor import Tensor


class NetworkBase(NetworkStructure):
    """A classifier of images of one size; parameters as for `CKN`."""

    @abstractmethod
    def _apply_layers(self, x: Images) -> Tensor:
        """Return the last map (N, p, Ho, Wo) of preprocessed images."""

    def _flat_features(self, x: Images) -> Tensor:
        """Return the last map of preprocessed images, flattened: (N, D)."""
        y = self._apply_layers(x)
        return y.reshape((y.shape[0], math.prod(y.shape[1:])))

    def _training_features(self, x: Images) -> Tensor:
        """Return the features (N, D) of preprocessed images that the classifier is fitted to."""
        both = self.mirror_average == "features"
        return self._mirror_mean(x) if both else self._flat_features(x)

    def _test_features(self, x: Images) -> Tensor:
        """Return the features (N, D) of preprocessed images that scores are computed from."""
        return self._mirror_mean(x) if self.mirror_average else self._flat_features(x)

    def _test_scores(self, x: Images) -> NDArray[Any]:
        """Return the scores (N, n_classes) of preprocessed images, in batches."""
        shape = (self.n_classes,)
        return self._map_batches(lambda y: self.classifier(self._test_features(y)), x, shape)

    def _mirror_mean(self, x: Images) -> Tensor:
        """Return the mean features (N, D) of preprocessed images and their mirror images."""
        return 0.5 * (self._flat_features(x) + self._flat_features(x[:, :, :, ::-1]))

    def _check_images(self, x: Images, *, finite: bool = True) -> Images:
        """Return images of the model's size in its dtype; Tensors stay Tensors.

        `finite` False: do not check for NaN, which would wait for a GPU.

        Raises
        ------
        ShapeError
            If they are not of shape (N, C, H, W) with this model's C, H and W.
        DTypeError
            If they are not floating.
        DataError
            If one contains NaN or infinity.
        BackendError
            If they are not on the model's device.
        """
        x = self._check_shape(x)
        check_device(type(self).__name__, "images", x, self.device)
        if finite:
            check_finite(type(self).__name__, x)
        return x if x.dtype == self.dtype else x.astype(self.dtype)

    def preprocess(self, images: Images) -> NDArray[Any]:
        """Return images (N, C, H, W) after preprocessing, as an array.

        Without preprocessing the images themselves are returned. Of lazy images the result
        is lazy too, in a temporary file, if it takes more memory than they allow.
        """
        if self.preprocessing is None:
            array: NDArray[Any] = unwrap(images)
            return array
        shape = self._prepared_shape
        if not is_lazy(images):
            return self._map_batches(self.preprocessing, images, shape)
        memory = images.memory
        rows = images.room((len(images), *shape), self.dtype, "preprocessing")
        lazy: Any = images
        return as_lazy(self._map_batches(self.preprocessing, lazy, shape, rows), memory)

    def _preprocess(self, x: Images) -> Images:
        """Return one batch after preprocessing."""
        return x if self.preprocessing is None else self.preprocessing(x)

    @record_function("blocks of images")
    def _map_batches(
        self,
        function: Callable[[Any], Array],
        images: Images,
        shape: Shape,
        out: Vectors | PathLike | None = None,
        batch_size: int | None = None,
    ) -> NDArray[Any]:
        """Apply a function to images in batches, in eval mode and without recording.

        Parameters
        ----------
        function : callable
            Maps n images on the model's device to (n, *shape).
        images : array or Tensor
            (N, C, H, W), on the host or on the model's device.
        shape
            Of the result for one image; its dtype is the model's.
        out, batch_size
            As for `encode`.

        Returns
        -------
        array
            (N, *shape), where the images are, or `out`.

        Raises
        ------
        ConfigError, ShapeError
            If batch_size is not an integer >= 1, or `out` does not fit.
        DataError
            If images or results are not finite.
        """
        checks.integers("encode", or_none=True, batch_size=batch_size)
        owner = type(self).__name__
        array: NDArray[Any] = unwrap(images)
        in_place = backend_of(array).device == self.device

        def compute(batch: slice) -> NDArray[Any]:
            x = array[batch]
            check_finite(owner, x, batch.start)
            y: NDArray[Any] = unwrap(function(x if in_place else asarray(x, device=self.device)))
            check_results(owner, y, batch.start)
            return y

        n = len(array)
        batches = (
            batched.image_blocks(n, self._largest_intermediate())
            if batch_size is None
            else slices(n, batch_size)
        )
        with no_grad(), evaluation():
            return batched.map_batches(
                compute, batches, (n, *shape), self.dtype, xp=xp_of(array), out=unwrap(out)
            )

    def features(self, x: Images) -> Tensor:
        """Return the features (N, D) of images (N, C, H, W): the last map, flattened.

        With `mirror_average` they are the mean over each image and its mirror image.
        Unless it may be differentiated, the computation is done in batches, so that memory
        stays bounded. If it may, images on a GPU are not checked for NaN, which then
        appears in the features: a training step never waits.
        """
        recorded = modes.recording and (
            (isinstance(x, Tensor) and x.requires_grad)
            or any(p.requires_grad for layer in self.layers for p in layer.parameters())
        )
        x = self._check_images(x, finite=not (recorded and use(self.device).asynchronous))
        if recorded:
            x = x[:] if is_lazy(x) else x
            return self._test_features(self._preprocess(x))
        array = unwrap(x)
        y = xp_of(array).empty((len(array), self.classifier.in_features), dtype=self.dtype)
        for batch in batched.image_blocks(len(array), self._largest_intermediate()):
            y[batch] = unwrap(self._test_features(self._preprocess(array[batch])))
        return Tensor.wrap(y)

    def forward(self, x: Images) -> Tensor:
        """Return class scores (N, n_classes) of images (N, C, H, W)."""
        scores: Tensor = self.classifier(self.features(x))
        return scores
