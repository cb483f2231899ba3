"""The convolutional kernel network: layers, one on the other, and a linear classifier on the last map."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from tinygrad_ckn.backend import Generator, is_whole, xp_of
from tinygrad_ckn.backend import rng as generator
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.graph import raw
from tinygrad_ckn.models import fitting
from tinygrad_ckn.models.encoding import MEMORY, in_blocks
from tinygrad_ckn.models.fitting import Progress, quiet
from tinygrad_ckn.models.inputs import check_images, check_labels
from tinygrad_ckn.models.layer import CKNLayer
from tinygrad_ckn.models.nystrom import factors
from tinygrad_ckn.models.patches import blocks
from tinygrad_ckn.models.presets import preset_layers
from tinygrad_ckn.modes import modes
from tinygrad_ckn.nn import Linear, Module
from tinygrad_ckn.ops._windows import pair
from tinygrad_ckn.tensor import Tensor


class CKN(Module):
    """A convolutional kernel network for images of one size.

    Parameters
    ----------
    in_channels
        C.
    image_size
        (H, W), or one number for square images.
    n_classes
        Number of classes, at least 2.
    layers
        Sequence of CKNLayers; each takes as many channels as the one before has filters.
    rng
        Generator or seed of the classifier's initial weights.

    Raises
    ------
    ConfigError, ShapeError
        If the layers do not fit on each other or on the image.

    Notes
    -----
    `tinygrad_ckn.training.save_model(model, path)` writes a model to a file, `tinygrad_ckn.training.load_model(path)`
    reads it, or the model in the folder of a run.

    Examples
    --------
    >>> model = CKN(1, 8, 10, [CKNLayer(1, 4, 3, subsampling=2), CKNLayer(4, 6, 3, subsampling=2)])
    >>> model.features(np.ones((5, 1, 8, 8), dtype="float32")).shape
    (5, 24)
    """

    def __init__(
        self,
        in_channels: int,
        image_size: int | Sequence[int],
        n_classes: int,
        layers: Sequence[CKNLayer],
        *,
        rng: Generator | int | None = None,
    ) -> None:
        if not is_whole(n_classes, 2):
            raise ConfigError(f"CKN: argument n_classes expected a whole number >= 2, got {n_classes!r}")
        if isinstance(layers, CKNLayer):
            raise ConfigError(
                "CKN: argument layers expected a sequence of CKNLayers, got one CKNLayer; put it in a list"
            )
        if not layers or not all(isinstance(layer, CKNLayer) for layer in layers):
            raise ConfigError(f"CKN: argument layers expected at least one CKNLayer and nothing else, got {layers!r}")
        self.in_channels = in_channels
        self.image_size = pair("CKN", "image_size", image_size, 1)
        self.n_classes = int(n_classes)
        self.layers = list(layers)
        size, channels = self.image_size, in_channels
        for i, layer in enumerate(self.layers):
            if layer.in_channels != channels:
                raise ConfigError(
                    f"CKN: layers[{i}] expected in_channels = {channels}, the channels before it, "
                    f"got {layer.in_channels}"
                )
            size, channels = layer.output_size(size), layer.n_filters
        dtypes = {str(layer.weight.dtype) for layer in self.layers}
        if len(dtypes) > 1:
            raise ConfigError(f"CKN: layers expected one dtype, got {' and '.join(sorted(dtypes))}")
        self.dtype = dtypes.pop()
        self.classifier = Linear(channels * math.prod(size), n_classes, rng=generator(rng), dtype=self.dtype)

    @classmethod
    def preset(
        cls,
        name: str,
        *,
        in_channels: int,
        image_size: int | Sequence[int],
        n_classes: int,
        rng: Generator | int | None = None,
    ) -> Self:
        """Return a published architecture: unsup-32-64, unsup-64-256, unsup-256-1024, ckn5 or ckn14.

        Raises
        ------
        ConfigError
            If there is no such preset.

        Examples
        --------
        >>> len(CKN.preset("ckn5", in_channels=3, image_size=32, n_classes=10).layers)
        5
        """
        random = generator(rng)
        return cls(in_channels, image_size, n_classes, preset_layers(name, in_channels, random), rng=random)

    def images(self, x: Any) -> Any:
        """Return images, checked, in the model's dtype; Tensors stay Tensors.

        Raises
        ------
        ShapeError
            If they are not of shape (N, C, H, W) with this model's C, H and W.
        DTypeError
            If they are integers, which are not scaled as the training images were.
        """
        x = check_images(x, (self.in_channels, *self.image_size))
        return x if x.dtype == self.dtype else x.astype(self.dtype)

    def features(self, x: Any) -> Any:
        """Return the last map of images (N, C, H, W), flattened: (N, D).

        Where no gradient can be asked for, images go through in blocks, so that memory stays bounded.
        """
        x = self.images(x)
        recorded = modes.recording and (
            (isinstance(x, Tensor) and x.requires_grad) or any(layer.weight.requires_grad for layer in self.layers)
        )
        if recorded:
            return self._through(x)
        array = raw(x)
        y = xp_of(array).empty((len(array), self.classifier.in_features), dtype=self.dtype)
        for block in blocks(len(array), self.largest_map()):
            y[block] = raw(self._through(array[block]))
        return Tensor.wrap(y)

    def _through(self, x: Any) -> Any:
        for layer, of_layer in zip(self.layers, factors(self.layers), strict=True):
            x = layer(x, of_layer)
        return x.reshape((x.shape[0], -1))

    def largest_map(self) -> int:
        """Return the number of elements an image has in the largest map that is held: before pooling, if not fused."""
        size, largest = self.image_size, 0
        for layer in self.layers:
            largest, size = max(largest, layer.held(size)), layer.output_size(size)
        return largest

    def forward(self, x: Any) -> Any:
        """Return class scores (N, n_classes) of images (N, C, H, W)."""
        return self.classifier(self.features(x))

    def encode(self, images: Any, out: Any = None, *, batch_size: int | None = None) -> Any:
        """Return features (N, D) as an array, in eval mode and without recording; memory holds few images' maps.

        Parameters
        ----------
        images
            (N, C, H, W), floats; in memory or in a file (numpy.memmap).
        out
            An array (N, D) of the model's dtype to fill, or the path of an .npy file, which is written anew and
            returned memory-mapped.
        batch_size
            Images taken at a time; None: by the size of the maps.

        Raises
        ------
        ShapeError, DTypeError, ConfigError
            If images are not of the model's size or dtype, `out` does not fit, or batch_size is no whole number >= 1.
        """
        return in_blocks(self, self.features, images, self.classifier.in_features, out, batch_size)

    def scores(self, images: Any) -> Any:
        """Return class scores (N, n_classes) as an array, in blocks of images."""
        return in_blocks(self, self, images, self.n_classes)

    def predict(self, images: Any) -> Any:
        """Return the class of each image: integers (N,).

        Parameters
        ----------
        images
            (N, C, H, W), floats, scaled as the training images were: the loaders of `tinygrad_ckn.data` give [0, 1].

        Raises
        ------
        ShapeError
            If the images are not of the model's size.
        DTypeError
            If they are integers.
        """
        return self.scores(images).argmax(axis=1)

    def accuracy(self, images: Any, labels: Any) -> float:
        """Return the share of images whose predicted class is the label.

        Raises
        ------
        DataError
            If there are no images, or labels are not one class number for each.
        """
        return float((self.predict(images) == self.labels(labels, len(images))).mean())

    def labels(self, labels: Any, n: int) -> Any:
        """Return labels, checked: n >= 1 integers (n,) from 0 to n_classes - 1.

        Raises
        ------
        DataError
            If they are not.
        """
        return check_labels(labels, n, self.n_classes)

    def training_set(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Return images and labels as arrays, checked.

        Raises
        ------
        ShapeError, DataError
            If the images are not of the model's size, there are none, or the labels are not of two classes at least.
        """
        array = self._array(images)
        y = self.labels(labels, len(array))
        if int(y.min()) == int(y.max()):
            raise DataError(f"CKN: expected labels of at least two classes to train on, got only class {y[0]}")
        return array, y

    def fit_unsupervised(
        self,
        images: Any,
        *,
        n_patches: int = 100_000,
        iterations: int = 10,
        rng: Generator | int | None = None,
        report: Callable[[Progress], None] = quiet,
    ) -> Self:
        """Learn the filters of each layer, first to last, by spherical k-means on patches of its input; no labels.

        Parameters
        ----------
        images
            (N, C, H, W), floats; images that the model is used on later have to be scaled as these are. The loaders of
            `tinygrad_ckn.data` give [0, 1]: whole numbers in files are divided by 255, floats are taken as they are.
        n_patches
            At most so many for each layer, drawn uniformly from all images and positions; zero patches are left out.
        iterations
            Of k-means, at most.
        rng
            Generator or seed.
        report
            Called as it goes on.

        Raises
        ------
        DataError
            If there are no images, or too few distinct patches for the filters.
        """
        fitting.fit_filters(
            self, self._array(images), n_patches=n_patches, iterations=iterations, rng=generator(rng), report=report
        )
        return self

    def fit_classifier(
        self,
        images: Any,
        labels: Any,
        *,
        loss: str = "cross_entropy",
        l2: float | None = None,
        iterations: int = 30,
        memory: int = MEMORY,
        rng: Generator | int | None = None,
        report: Callable[[Progress], None] = quiet,
    ) -> Self:
        """Fit the linear classifier on the features of images; arguments as for `models.classifier.fit_linear`.

        Features of more than `memory` bytes, 8 GiB by default, go to a temporary file while it is fitted.
        """
        array, y = self.training_set(images, labels)
        fitting.fit_classifier(
            self, array, y, loss=loss, l2=l2, iterations=iterations, memory=memory, rng=generator(rng), report=report
        )
        return self

    def fit(
        self,
        images: Any,
        labels: Any,
        *,
        epochs: int = 10,
        batch_size: int = 128,
        lr: float = 0.01,
        momentum: float = 0.9,
        loss: str = "cross_entropy",
        l2: float = 1e-5,
        n_patches: int = 100_000,
        augment: Callable[[Any, Generator], Any] | None = None,
        rng: Generator | int | None = None,
        report: Callable[[Progress], None] = quiet,
    ) -> Self:
        """Train end to end: filters by k-means, classifier by L-BFGS, then SGD through everything, classifier again.

        Minimises (1/n) sum L(y_i, <W, features_i>) + l2/2 |W|^2 over the classifier W and all filters on their spheres.

        Parameters
        ----------
        images, labels
            (N, C, H, W), floats scaled as for `fit_unsupervised`, and integers (N,).
        epochs, batch_size, lr, momentum
            Of SGD; the rate falls to 0 on a cosine.
        loss
            As for `fit_classifier`.
        l2
            Regularisation while the filters learn, in the terms of `fit_classifier`; for the classifier that is fitted
            at last, the best one is found on a part held out.
        n_patches
            As for `fit_unsupervised`.
        augment
            Makes the images that SGD is shown of those of a batch and a generator; as `tinygrad_ckn.data.crop_flip`.
        rng
            Generator or seed.
        report
            Called as it goes on.

        Raises
        ------
        ConfigError
            If an option is out of its range.
        DataError
            If images or labels are not what they should be.
        GradientError
            If the loss becomes NaN or infinite.
        """
        fitting.check_descent(epochs, batch_size)
        random = generator(rng)
        array, y = self.training_set(images, labels)
        fitting.fit_filters(self, array, n_patches=n_patches, iterations=10, rng=random, report=report)
        start = fitting.fit_classifier(self, array, y, loss=loss, l2=l2, iterations=30, rng=random, report=report)
        fitting.descend(
            self,
            array,
            y,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            momentum=momentum,
            loss=loss,
            l2=l2 * start.scale**2,
            augment=augment,
            rng=random,
            report=report,
        )
        fitting.fit_classifier(self, array, y, loss=loss, l2=None, iterations=30, rng=random, report=report)
        return self

    def _array(self, images: Any) -> Any:
        array = raw(self.images(images))
        if not len(array):
            raise DataError("CKN: expected at least one image to train on, got none")
        return array

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build this architecture again, as JSON takes it."""
        return {
            "model": "CKN",
            "in_channels": self.in_channels,
            "image_size": list(self.image_size),
            "n_classes": self.n_classes,
            "layers": [layer.config() for layer in self.layers],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a model of this architecture, untrained.

        Raises
        ------
        ConfigError
            If the configuration is not one that `config()` gives.
        """
        try:
            layers = [CKNLayer(**options) for options in config["layers"]]
            return cls(config["in_channels"], config["image_size"], config["n_classes"], layers)
        except (KeyError, TypeError) as error:
            raise ConfigError(f"CKN.from_config: expected what config() returns, got {config!r}") from error
