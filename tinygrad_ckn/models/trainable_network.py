"""The half of a network that checks and prepares what it is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_ckn.backend import Array, Images, Labels, NDArray, asarray, backend_of, to_numpy
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.fingerprints import fingerprints_of
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.labels import Label, class_numbers, classes_of
from tinygrad_ckn.models.batched import on_device
from tinygrad_ckn.models.checks import host_labels
from tinygrad_ckn.models.example_weights import ClassWeight, example_weights
from tinygrad_ckn.models.learning.objective import LabelledImages
from tinygrad_ckn.models.learning.training_set import (
    Groups,
    TrainingSet,
    ValidationData,
    check_groups,
    counted,
    digests_of,
    together,
)
from tinygrad_ckn.models.network_base import NetworkBase
from tinygrad_ckn.models.training_record import check_scale


class TrainableNetwork(NetworkBase):
    """A network with what `Network.fit_classifier` and the methods `fit` begin with."""

    def _begin_training(
        self,
        images: Images,
        labels: Labels,
        data_format: DataFormat | None,
        class_weight: ClassWeight | None = None,
        sample_weight: Array | Sequence[float] | None = None,
        *,
        groups: Groups | None = None,
        validation_data: ValidationData | None = None,
        warm_start: bool = False,
    ) -> TrainingSet:
        """Check a training set, record its format and fit the preprocessing.

        Images of weight 0 are left out. With `warm_start` the preprocessing stays.
        """
        owner = type(self).__name__
        known = data_format.classes if data_format else ()
        array, y, classes = self._check_training_set(images, labels, known)
        training = LabelledImages(array, y)
        weights = self._weights_of(y, classes, class_weight, sample_weight)
        given = None if groups is None else check_groups(owner, groups, len(array), weights)
        if weights is not None:
            training = counted(LabelledImages(array, y, weights))
        self._mark_unfitted()
        self._record_format(training.images, classes, data_format)
        fingerprints = fingerprints_of(training.images)
        numbers = together(owner, given, fingerprints)
        validation = None
        if validation_data is not None:
            validation = self._validation_set(validation_data, array, classes, class_weight)
        digests = digests_of(given, None if validation is None else validation[:2])
        if warm_start:
            prepared = self.preprocess(training.images)
        else:
            prepared = self._fit_preprocessing(training.images)
        if validation is not None:
            validation = validation._replace(images=self.preprocess(validation.images))
        return TrainingSet(
            training._replace(images=prepared), numbers, fingerprints, validation, digests
        )

    def _validation_set(
        self,
        data: ValidationData,
        training: NDArray[Any],
        classes: Sequence[Label],
        class_weight: ClassWeight | None,
    ) -> LabelledImages:
        """Return the images and class numbers of a validation set, beside those trained on.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If they are not images and labels like those of the training.
        """
        owner = type(self).__name__
        if not isinstance(data, tuple | list) or len(data) != 2:
            raise DataError(
                f"{owner}: argument validation_data expected (images, labels), got "
                f"{type(data).__name__}; pass both in a tuple"
            )
        source = f"{owner}: argument validation_data"
        array = self._check_training_images(data[0])
        check_scale(self, array, source)
        device = backend_of(training).device
        array = array if backend_of(array).device == device else on_device(array, device)
        values = host_labels(owner, data[1], len(array), device)
        numbers = asarray(class_numbers(values, classes, f"{source}, labels"), device=device)
        weights = self._weights_of(numbers, classes, class_weight, None)
        validation = LabelledImages(array, numbers, weights)
        return validation if weights is None else counted(validation)

    def _weights_of(
        self,
        numbers: NDArray[Any],
        classes: Sequence[Label],
        class_weight: ClassWeight | None,
        sample_weight: Array | Sequence[float] | None,
    ) -> NDArray[Any] | None:
        """Return the weight of each image (N,), where its class number is; None: all equal."""
        if class_weight is None and sample_weight is None:
            return None
        owner = type(self).__name__
        weights = example_weights(owner, to_numpy(numbers), classes, class_weight, sample_weight)
        return None if weights is None else asarray(weights, device=backend_of(numbers).device)

    def _check_training_images(self, images: Images) -> NDArray[Any]:
        """Return images as an array after checking them; at least one is needed.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If they are not valid.
        """
        array: NDArray[Any] = unwrap(self._check_images(images))
        if not len(array):
            raise DataError(
                f"{type(self).__name__}: expected at least one image to train on, got none"
            )
        return array

    def _check_training_set(
        self, images: Images, labels: Labels, classes: Sequence[Label] = ()
    ) -> tuple[NDArray[Any], NDArray[Any], Sequence[Label]]:
        """Return images and class numbers as arrays after checking them, and the classes.

        Parameters
        ----------
        images, labels
            (N, C, H, W), and integers, strings or booleans (N,).
        classes
            The label of each class. Empty: the distinct labels, sorted, or 0 ..
            n_classes - 1 if labels are such numbers.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If the images are not valid, or the labels are not of two classes or more.
        """
        array = self._check_training_images(images)
        owner, device = type(self).__name__, backend_of(array).device
        values = host_labels(owner, labels, len(array), device)
        classes = classes or classes_of(values, f"{owner}: argument labels", self.n_classes)
        numbers = class_numbers(values, classes, f"{owner}: argument labels")
        if numbers.min() == numbers.max():
            raise DataError(
                f"{owner}: argument labels expected two or more classes to train on, got class "
                f"{classes[numbers[0]]!r} alone; add images of others"
            )
        return array, asarray(numbers, device=device), classes

    def _fit_preprocessing(self, images: Images) -> NDArray[Any]:
        """Fit the preprocessing to images (N, C, H, W), and return them preprocessed."""
        array = self._check_training_images(images)
        if self.preprocessing is not None:
            self.preprocessing.fit(array)
        return self.preprocess(array)
