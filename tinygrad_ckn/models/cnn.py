"""The convolutional neural network to compare a CKN with: a stack of `ConvLayer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from tinygrad_ckn.backend import Array, Generator, Images, Labels, default_rng
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.models.example_weights import ClassWeight
from tinygrad_ckn.models.layers.conv_layer import ConvLayer
from tinygrad_ckn.models.learning import fit as fitting
from tinygrad_ckn.models.learning.callbacks import Report, combined
from tinygrad_ckn.models.learning.finetuning_options import FineTuning
from tinygrad_ckn.models.learning.progress import no_report
from tinygrad_ckn.models.learning.state_file import read_state
from tinygrad_ckn.models.learning.training_set import Groups, ValidationData, course_of
from tinygrad_ckn.models.linear.problem import Loss
from tinygrad_ckn.models.network import Network
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor


class CNN(Network):
    """A convolutional neural network for images of one size.

    Parameters
    ----------
    in_channels : int
        C.
    image_size : int or (int, int)
        (H, W), or one number for square images.
    n_classes : int
        Number of classes, at least 2.
    layers : sequence of ConvLayer
        Each takes as many channels as the layer before it has filters.
    preprocessing, mirror_average
        As for `CKN`.
    rng : Generator, int or None, default None
        Generator or seed of the classifier's initial weights. None: the package's
        generator.

    Raises
    ------
    ConfigError, ShapeError
        If the layers do not fit together or do not fit the image.

    Examples
    --------
    >>> layers = [ConvLayer(1, 4, 3, subsampling=2), ConvLayer(4, 6, 3, subsampling=2)]
    >>> model = CNN(1, 8, 10, layers)
    >>> model.features(np.ones((5, 1, 8, 8), dtype="float32")).shape
    (5, 24)
    """

    layers: list[ConvLayer]  # pyright: ignore[reportIncompatibleVariableOverride]
    _layer_type = ConvLayer

    def _apply_layers(self, x: Images) -> Tensor:
        """Return the last map of preprocessed images."""
        y: Any = x
        for layer in self.layers:
            y = layer(y)
        return y

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
        data_format: DataFormat | None = None,
        warm_start: bool = False,
        resume: PathLike | None = None,
        rng: Generator | int | None = None,
        report: Report = no_report,
    ) -> Self:
        """Learn all layers by stochastic gradient descent, then refit the classifier.

        The refit is by L-BFGS. Unless alternating, the descent starts from a classifier
        whose weights are zero: one fitted to random filters has weights so large that the
        first steps would ruin the filters.

        Parameters
        ----------
        images : array or Tensor
            (N, C, H, W), floating; images that the model is used on later must have the
            same scale.
        labels : array or sequence
            (N,), as for `CKN.fit`.
        descent : FineTuning or None, default None
            How to train. None: `FineTuning()`, because a CNN has no other way to learn
            its filters.
        loss, l2
            As for `models.fit_linear`.
        class_weight, sample_weight, groups, validation_data, data_format, resume
            As for `CKN.fit`.
        warm_start : bool, default False
            Descend from the present filters, with a classifier fitted to them, and keep
            the preprocessing.
        rng : Generator, int or None, default None
            Generator or seed. None: the package's generator, see `manual_seed`.
        report : callable or sequence of callables, optional
            Called with each `Progress` event; see `Callback`.

        Raises
        ------
        ConfigError
            If an option is out of range.
        ShapeError, DTypeError, DataError
            If images or labels are not valid.
        GradientError
            If the loss becomes NaN or infinite; the parameters are then those of the best
            epoch before.
        """
        report = combined(report)
        saved = None if resume is None else read_state(resume)
        fitting.check_fit(descent, loss, l2, class_weight)
        descent = FineTuning() if descent is None else descent
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
        options = {"descent": descent, "loss": loss, "l2": l2, "warm_start": warm_start}
        fitting.fit_with_labels(
            self,
            training.labelled,
            descent=descent,
            loss=loss,
            l2=l2,
            from_zero=not warm_start,
            groups=training.groups,
            validation=training.validation,
            course=course_of(self, training, options, default_rng(rng), saved),
            report=report,
        )
        return self
