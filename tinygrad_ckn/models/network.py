"""The half of a network that users call on data: predictions, accuracy and learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_ckn.backend import (
    Array,
    Generator,
    Images,
    Labels,
    NDArray,
    Vectors,
    backend_of,
    default_rng,
    to_numpy,
)
from tinygrad_ckn.files import PathLike
from tinygrad_ckn.fingerprints import fingerprints_of
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.labels import class_numbers, label_values
from tinygrad_ckn.models.batched import MEMORY
from tinygrad_ckn.models.checks import host_labels
from tinygrad_ckn.models.example_weights import ClassWeight
from tinygrad_ckn.models.learning import fit as fitting
from tinygrad_ckn.models.learning.callbacks import Report, combined
from tinygrad_ckn.models.learning.progress import no_report
from tinygrad_ckn.models.learning.training_set import (
    Groups,
    check_groups,
    together,
)
from tinygrad_ckn.models.linear.calibration import probabilities_of
from tinygrad_ckn.models.linear.logistic import LinearFit
from tinygrad_ckn.models.linear.problem import Loss
from tinygrad_ckn.models.trainable_network import TrainableNetwork
from tinygrad_ckn.plain import plain_arguments


class Network(TrainableNetwork):
    """A network of images that learns and predicts; `CKN` and `CNN` are its two kinds."""

    def encode(
        self,
        images: Images,
        out: Vectors | PathLike | None = None,
        *,
        batch_size: int | None = None,
    ) -> NDArray[Any]:
        """Return features (N, D) as an array, in eval mode, without recording, in batches.

        Parameters
        ----------
        images : array or Tensor
            (N, C, H, W), floating; in memory or in a file (numpy.memmap). Batches of them
            are moved to the model's device.
        out : array, path or None, default None
            An array (N, D) of the model's dtype to fill, or the path of an .npy file,
            which is overwritten and returned memory-mapped. None: a new array.
        batch_size : int or None, default None
            Images at a time. None: chosen by the size of the maps.

        Returns
        -------
        array
            (N, D), of the model's dtype.

        Raises
        ------
        ShapeError, DTypeError, ConfigError
            If images do not have the model's size or a floating dtype, `out` does not fit,
            or batch_size is not an integer >= 1.
        """
        array = self._check_scale(images)
        shape = (self.classifier.in_features,)
        return self._map_batches(self.features, array, shape, out, batch_size)

    def scores(self, images: Images) -> NDArray[Any]:
        """Return class scores (N, n_classes) as an array; errors as for `predict`."""
        checked = self._check_scale(images)
        self._check_fitted("scores")
        return self._map_batches(self, checked, (self.n_classes,))

    def predict(self, images: Images) -> NDArray[Any]:
        """Return the predicted label of each image, of the same type as the training labels.

        Parameters
        ----------
        images : array or Tensor
            (N, C, H, W), floating, scaled as the training images were; the loaders of
            `tinygrad_ckn.data` scale to [0, 1].

        Returns
        -------
        array
            (N,), integers, strings or booleans.

        Raises
        ------
        ShapeError
            If the images do not have the model's size.
        DTypeError
            If they are not floating.
        DataError
            If all are scaled otherwise than the training images.
        NotFittedError
            If the classifier is still random and the model is not in eval mode.

        Warns
        -----
        DataWarning
            If some images are scaled otherwise than the training images.
        """
        checked = self._check_shape(images)
        self._check_fitted("predict")
        numbers = self.scores(checked).argmax(axis=1)
        # Class numbers are compared by type too, because False == 0.
        numbered = type(self.classes[0]) is int and self.classes == tuple(range(self.n_classes))
        return numbers if numbered else label_values(to_numpy(numbers), self.classes)

    def predict_proba(self, images: Images) -> NDArray[Any]:
        """Return the probability of each class, the softmax of scores / temperature.

        Each fit chooses the temperature on images held out from it: see
        `models.linear.calibration`. With class weights they are probabilities for classes
        of these weights.

        Parameters
        ----------
        images : array or Tensor
            As for `predict`, whose classes have the largest probabilities.

        Returns
        -------
        array
            (N, n_classes), float64; each row sums to 1. Columns are in the order of
            `classes`.

        Raises
        ------
        ConfigError
            If the model has no temperature, because its training was not finished or an
            earlier version fitted it.
        ShapeError, DTypeError, DataError, NotFittedError
            As for `predict`.

        Warns
        -----
        DataWarning
            As for `predict`.
        """
        checked = self._check_shape(images)
        self._check_fitted("predict_proba")
        owner = f"{type(self).__name__}.predict_proba"
        return probabilities_of(self.scores(checked), self.temperature, owner)

    def accuracy(self, images: Images, labels: Labels) -> float:
        """Return the share of images whose predicted class is the label.

        Parameters
        ----------
        images, labels
            (N, C, H, W) and (N,), N >= 1; labels of the type of the training labels.

        Raises
        ------
        DataError
            If there is not one label for each image, or a label is not one of the classes.
        ShapeError, DTypeError, NotFittedError
            As for `predict`.
        """
        array = self._check_shape(images)
        owner = type(self).__name__
        values = host_labels(owner, labels, len(array), backend_of(unwrap(array)).device)
        self._check_fitted("accuracy")
        expected = class_numbers(values, self.classes, f"{owner}: argument labels")
        return float((to_numpy(self.scores(array).argmax(axis=1)) == expected).mean())

    @plain_arguments
    def fit_classifier(
        self,
        images: Images,
        labels: Labels,
        *,
        loss: Loss = "cross_entropy",
        l2: float | None = None,
        iterations: int = 30,
        class_weight: ClassWeight | None = None,
        sample_weight: Array | Sequence[float] | None = None,
        groups: Groups | None = None,
        memory: int = MEMORY,
        rng: Generator | int | None = None,
        report: Report = no_report,
    ) -> LinearFit:
        """Fit the linear classifier on the features of images.

        Parameters
        ----------
        images : array or Tensor
            (N, C, H, W), floating, scaled as those the filters were learned from.
        labels : array or sequence
            (N,): integers, strings or booleans.
        loss, l2, iterations, rng
            As for `models.fit_linear`.
        class_weight, sample_weight, groups
            As for `CKN.fit`.
        memory : int, default 8 GiB
            Features of more bytes are kept in a temporary file while the classifier is
            fitted.
        report : callable or sequence of callables, optional
            Called with each `Progress` event.

        Returns
        -------
        LinearFit
            The fit, whose weights the classifier now has.

        Raises
        ------
        ConfigError, ShapeError, DTypeError, DataError
            If an option, the images or the labels are not valid.
        """
        array, y, classes = self._check_training_set(images, labels)
        if self.data_format is not None:
            self._check_scale(array)
        weights = self._weights_of(y, classes, class_weight, sample_weight)
        owner = type(self).__name__
        given = None if groups is None else check_groups(owner, groups, len(array))
        fit = fitting.fit_classifier(
            self,
            self.preprocess(array),
            y,
            sample_weight=weights,
            loss=loss,
            l2=l2,
            iterations=iterations,
            memory=memory,
            groups=together(owner, given, fingerprints_of(array)),
            rng=default_rng(rng),
            report=combined(report),
        )
        self._record_format(array, classes, self.data_format)
        return fit
