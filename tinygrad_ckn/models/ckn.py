"""The convolutional kernel network: a stack of `CKNLayer` with a linear classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from tinygrad_ckn.backend import Array, Generator, Images, Labels, default_rng
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.models.batched import MEMORY
from tinygrad_ckn.models.clustering.seeding import Init
from tinygrad_ckn.models.example_weights import ClassWeight
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.models.layers.nystrom import stacked_factors
from tinygrad_ckn.models.learning import fit as fitting
from tinygrad_ckn.models.learning.callbacks import Report, combined
from tinygrad_ckn.models.learning.finetuning_options import FineTuning
from tinygrad_ckn.models.learning.progress import no_report
from tinygrad_ckn.models.learning.state import Course
from tinygrad_ckn.models.learning.state_file import read_state
from tinygrad_ckn.models.learning.training_set import Groups, ValidationData, course_of
from tinygrad_ckn.models.linear.problem import Loss
from tinygrad_ckn.models.network import Network
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor


class CKN(Network):
    """A convolutional kernel network for images of one size (Mairal 2016, arXiv 1605.06265).

    Parameters
    ----------
    in_channels : int
        C.
    image_size : int or (int, int)
        (H, W), or one number for square images.
    n_classes : int
        Number of classes, at least 2.
    layers : sequence of CKNLayer
        Each takes as many channels as the layer before it has filters.
    preprocessing : Preprocessor, str, dict, list of these, or None, default None
        Applied to images before the first layer: from `models.preprocessing`, by name or
        by configuration.
    mirror_average : "features", "scores" or None, default None
        Average over each image, after preprocessing, and its left-right mirror image.
        "features": in training too, so that the network cannot tell the two apart.
        "scores": in prediction only, which halves the time of training.
    rng : Generator, int or None, default None
        Generator or seed of the classifier's initial weights. None: the package's
        generator.

    Raises
    ------
    ConfigError, ShapeError
        If the layers do not fit together or do not fit the image.

    Notes
    -----
    `tinygrad_ckn.training.save_model(model, path)` writes a model to a file;
    `tinygrad_ckn.training.load_model(path)` reads it, or the model in a run's folder.

    Examples
    --------
    >>> layers = [CKNLayer(1, 4, 3, subsampling=2), CKNLayer(4, 6, 3, subsampling=2)]
    >>> model = CKN(1, 8, 10, layers)
    >>> model.features(np.ones((5, 1, 8, 8), dtype="float32")).shape
    (5, 24)
    """

    layers: list[CKNLayer]  # pyright: ignore[reportIncompatibleVariableOverride]
    _layer_type = CKNLayer

    def _apply_layers(self, x: Images) -> Tensor:
        """Return the last map of preprocessed images; all factors are computed as one stack."""
        y: Any = x
        for layer, factors in zip(self.layers, stacked_factors(self.layers), strict=True):
            y = layer(y, factors)
        return y

    @plain_arguments
    def fit_unsupervised(
        self,
        images: Images,
        *,
        n_patches: int = 100_000,
        iterations: int = 10,
        batch_size: int | None = None,
        init: Init = "k-means++",
        memory: int = MEMORY,
        rng: Generator | int | None = None,
        report: Report = no_report,
    ) -> Self:
        """Learn the filters of each layer, without labels, by spherical k-means on patches.

        Layers are learned first to last, each on patches of its input.

        Parameters
        ----------
        images : array or Tensor
            (N, C, H, W), floating. Images that the model is used on later must have the
            same scale; the loaders of `tinygrad_ckn.data` give [0, 1]: integers in files
            are divided by 255, floats are unchanged.
        n_patches : int, default 100_000
            Maximum number of patches per layer, drawn uniformly from all images and
            positions (for layers after the first, from a random sample of the images).
            Zero patches are left out, and in the first layer constant ones.
        iterations : int, default 10
            Maximum number of k-means iterations.
        batch_size, init
            Of k-means, as for `models.spherical_kmeans`.
        memory : int, default 8 GiB
            Patches that take more bytes than this are kept in a temporary file while they
            are clustered.
        rng : Generator, int or None, default None
            Generator or seed. None: the package's generator, see `manual_seed`.
        report : callable or sequence of callables, optional
            Called with each `Progress` event; see `Callback`.

        Raises
        ------
        DataError
            If there are no images, or fewer distinct patches than filters.
        """
        report = combined(report)
        course = Course.of(self, default_rng(rng))
        fitting.check_kmeans(n_patches, iterations)
        array = self._check_training_images(images)
        self._mark_unfitted()
        self._record_format(array, (), None)
        fitting.fit_filters(
            self,
            self._fit_preprocessing(array),
            n_patches=n_patches,
            iterations=iterations,
            batch_size=batch_size,
            init=init,
            memory=memory,
            course=course,
            report=report,
        )
        return self

    @plain_arguments
    def fit(
        self,
        images: Images,
        labels: Labels,
        *,
        descent: FineTuning | None = None,
        loss: Loss = "cross_entropy",
        l2: float | None = None,
        class_weight: ClassWeight | None = None,
        sample_weight: Array | Sequence[float] | None = None,
        groups: Groups | None = None,
        validation_data: ValidationData | None = None,
        n_patches: int = 100_000,
        iterations: int = 10,
        data_format: DataFormat | None = None,
        warm_start: bool = False,
        resume: PathLike | None = None,
        rng: Generator | int | None = None,
        report: Report = no_report,
    ) -> Self:
        """Learn filters by k-means and a classifier by L-BFGS, then optionally fine-tune.

        Fine-tuning, with `descent`, minimises (1/n) sum L(y_i, <W, features_i>) + l2/2
        |W|^2 over the classifier W and all filters on their spheres; the classifier is
        then fitted again.

        Parameters
        ----------
        images : array or Tensor
            (N, C, H, W), floating, scaled as for `fit_unsupervised`.
        labels : array or sequence
            (N,): integers, strings or booleans. Class numbers 0 .. n_classes - 1 stand for
            themselves; other labels are numbered in sorted order.
        descent : FineTuning or None, default None
            How to fine-tune the filters on the labels. None: not at all.
        loss, l2
            As for `models.fit_linear`.
        class_weight : "balanced", mapping or None, default None
            Weights of classes in the losses of fine-tuning and classifier, and in the
            accuracies and losses by which epoch and l2 are chosen: numbers >= 0 by label,
            1 for labels left out, or "balanced": n / (k count). None: images of all
            classes count the same.
        sample_weight : array or None, default None
            Weights of images there, (N,), >= 0, times those of their classes. K-means
            takes all images of weight > 0 alike. None: all images count the same.
        groups : array or None, default None
            (N,), integers, strings or booleans: images of one group, such as those of one
            subject, are held out together, for validation and for the choice of l2. Equal
            images always are.
        validation_data : (array, array) or None, default None
            Images and labels that choose the best epoch of fine-tuning, in place of a
            share of `images`, and the temperature of probabilities. Nothing is fitted to
            them; l2 is still chosen on a held-out share of `images`. None: as `descent`
            and `models.fit_linear` say.
        n_patches, iterations
            As for `fit_unsupervised`.
        data_format : DataFormat or None, default None
            How the images were read, `Dataset.data_format`, recorded in the model. None:
            as arrays.
        warm_start : bool, default False
            Keep the present filters and preprocessing, of another training for example,
            instead of learning them from patches; `descent` may still change the filters.
        resume : str, PathLike or None, default None
            Continue an interrupted training from its file last.safetensors, or the folder
            with it, as `training.Checkpoints` writes it: the result has the same bits as
            without the interruption. Images, labels and options must be the same.
        rng : Generator, int or None, default None
            Generator or seed. None: the package's generator, see `manual_seed`.
        report : callable or sequence of callables, optional
            Called with each `Progress` event; see `Callback`.

        Raises
        ------
        ConfigError
            If an option is out of range.
        ShapeError, DTypeError, DataError
            If images or labels are not valid, or not those of the training to resume.
        GradientError
            If the loss becomes NaN or infinite; the parameters are then those of the best
            epoch before.
        """
        report = combined(report)
        generator = default_rng(rng)
        saved = None if resume is None else read_state(resume)
        fitting.check_fit(descent, loss, l2, class_weight)
        fitting.check_kmeans(n_patches, iterations)
        training = self._begin_training(
            images,
            labels,
            data_format,
            class_weight,
            sample_weight,
            groups=groups,
            validation_data=validation_data,
            warm_start=warm_start,
        )
        options = {
            "descent": descent,
            "loss": loss,
            "l2": l2,
            "n_patches": n_patches,
            "iterations": iterations,
            "warm_start": warm_start,
        }
        course = course_of(self, training, options, generator, saved)
        if not warm_start:
            fitting.fit_filters(
                self,
                training.labelled.images,
                n_patches=n_patches,
                iterations=iterations,
                course=course,
                report=report,
            )
        fitting.fit_with_labels(
            self,
            training.labelled,
            descent=descent,
            loss=loss,
            l2=l2,
            groups=training.groups,
            validation=training.validation,
            course=course,
            report=report,
        )
        return self
