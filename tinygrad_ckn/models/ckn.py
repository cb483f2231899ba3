"""The convolutional kernel network: layers, one on the other, and a linear classifier on the last map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from tinygrad_ckn.backend import Generator, default_rng
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.fingerprints import groups_of_equal
from tinygrad_ckn.models.batched import MEMORY
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.models.layers.nystrom import factors
from tinygrad_ckn.models.learner import Learner
from tinygrad_ckn.models.learning import fit as fitting
from tinygrad_ckn.models.learning.finetuning_options import FineTuning
from tinygrad_ckn.models.learning.progress import Progress, no_report
from tinygrad_ckn.plain import plain_arguments


class CKN(Learner):
    """A convolutional kernel network for images of one size (Mairal 2016, arXiv 1605.06265).

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
    preprocessing
        What images go through first: one of `models.preprocessing`, its name or
        configuration, or a list of them.
    mirror_average
        What is the mean over an image and its mirror image, left to right, after
        preprocessing: "features", so that the network cannot tell one from the other;
        "scores", of a classifier fitted on the images as they are, in half the time; or
        None.
    rng
        Generator or seed of the classifier's initial weights; None: the package's.

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

    layer_type = CKNLayer

    def stacked(self, x: Any) -> Any:
        """Return the last map of preprocessed images; the factors of all layers are computed together."""
        for layer, of_layer in zip(self.layers, factors(self.layers), strict=True):
            x = layer(x, of_layer)
        return x

    @plain_arguments
    def fit_unsupervised(
        self,
        images: Any,
        *,
        n_patches: int = 100_000,
        iterations: int = 10,
        batch_size: int | None = None,
        init: str = "k-means++",
        memory: int = MEMORY,
        rng: Generator | int | None = None,
        report: Callable[[Progress], None] = no_report,
    ) -> Self:
        """Learn the filters of each layer, first to last, by spherical k-means on patches of its input; no labels.

        Parameters
        ----------
        images
            (N, C, H, W), floats; images that the model is used on later have to be
            scaled as these are. The loaders of `tinygrad_ckn.data` give [0, 1]: whole
            numbers in files are divided by 255, floats are taken as they are.
        n_patches
            At most so many for each layer, drawn uniformly from all images and
            positions (for layers after the first, from those of a random sample of
            images); patches that are zero, or constant in the first layer, are left
            out.
        iterations
            Of k-means, at most.
        batch_size, init
            Of k-means, as for `models.spherical_kmeans`.
        memory
            Patches of more bytes, 8 GiB by default, go to a temporary file while they
            are clustered.
        rng
            Generator or seed; None: the package's, see `manual_seed`.
        report
            Called as it goes on.

        Raises
        ------
        DataError
            If there are no images, or too few distinct patches for the filters.
        """
        random = default_rng(rng)
        fitting.check_filters(n_patches, iterations)
        array = self.training_images(images)
        self.forget()
        self.describe(array, (), None)
        prepared = self.fit_preprocessing(array)
        fitting.fit_filters(
            self,
            prepared,
            n_patches=n_patches,
            iterations=iterations,
            batch_size=batch_size,
            init=init,
            memory=memory,
            rng=random,
            report=report,
        )
        return self

    @plain_arguments
    def fit(
        self,
        images: Any,
        labels: Any,
        *,
        descent: FineTuning | None = None,
        loss: str = "cross_entropy",
        l2: float | None = None,
        n_patches: int = 100_000,
        iterations: int = 10,
        data_format: DataFormat | None = None,
        rng: Generator | int | None = None,
        report: Callable[[Progress], None] = no_report,
    ) -> Self:
        """Learn everything: filters by k-means, the classifier by L-BFGS; with a descent, then end to end.

        The descent minimises (1/n) sum L(y_i, <W, features_i>) + l2/2 |W|^2 over the
        classifier W and all filters on their spheres; at last the classifier is fitted
        again.

        Parameters
        ----------
        images, labels
            (N, C, H, W), floats scaled as for `fit_unsupervised`, and (N,): integers,
            strings or booleans. Class numbers 0 .. n_classes - 1 stand for themselves;
            other labels are numbered in sorted order.
        descent
            How filters learn from labels; None: they do not.
        loss, l2
            As for `fit_classifier`.
        n_patches, iterations
            As for `fit_unsupervised`.
        data_format
            How the images were read, `Dataset.data_format`, kept in the model; None: as
            arrays.
        rng
            Generator or seed; None: the package's, see `manual_seed`.
        report
            Called as it goes on.

        Raises
        ------
        ConfigError
            If an option is out of its range.
        DataError
            If images or labels are not what they should be.
        GradientError
            If the loss becomes NaN or infinite; the parameters are then those of the
            best epoch before.
        """
        random = default_rng(rng)
        fitting.check_fit(descent, loss, l2)
        fitting.check_filters(n_patches, iterations)
        array, y, classes = self.training_set(
            images, labels, data_format.classes if data_format else ()
        )
        self.forget()
        self.describe(array, classes, data_format)
        prepared = self.fit_preprocessing(array)
        fitting.fit_filters(
            self, prepared, n_patches=n_patches, iterations=iterations, rng=random, report=report
        )
        options: dict[str, Any] = {
            "loss": loss,
            "l2": l2,
            "groups": groups_of_equal(array),
            "rng": random,
        }
        fitting.fit_with_labels(self, prepared, y, descent=descent, report=report, **options)
        return self
