"""What a network is taught and measured with: labelled images, checked, and the fit of its classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_ckn.backend import Generator, asarray, backend_of, default_rng, to_numpy
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.fingerprints import groups_of_equal
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.labels import Label, class_numbers, classes_of
from tinygrad_ckn.models.batched import MEMORY
from tinygrad_ckn.models.checks import host_labels
from tinygrad_ckn.models.learning import fit as fitting
from tinygrad_ckn.models.learning.progress import Progress, no_report
from tinygrad_ckn.models.linear.logistic import LinearFit
from tinygrad_ckn.models.network import Network
from tinygrad_ckn.plain import plain_arguments


class Learner(Network):
    """A network that learns from images and labels; `CKN` and `CNN` say how."""

    def accuracy(self, images: Any, labels: Any) -> float:
        """Return the share of images whose predicted class is the label; labels are of the kind of those in `fit`.

        Raises
        ------
        DataError
            If there are no images, labels are not one for each, or one is none of the
            classes; as `predict`.
        NotFittedError
            If the classifier is still the random one, and the model not in eval mode.
        """
        array = self._checked(images)
        name = type(self).__name__
        values = host_labels(name, labels, len(array), backend_of(unwrap(array)).device)
        self._check_fitted("accuracy")
        expected = class_numbers(values, self.classes, f"{name}: argument labels")
        return float((to_numpy(self.scores(array).argmax(axis=1)) == expected).mean())

    def training_set(
        self, images: Any, labels: Any, classes: Sequence[Label] = ()
    ) -> tuple[Any, Any, Sequence[Label]]:
        """Return images and class numbers as arrays, checked, and the label of each class.

        Parameters
        ----------
        images, labels
            (N, C, H, W), and integers, strings or booleans (N,).
        classes
            The label of each class; by default the distinct labels, sorted, or 0 ..
            n_classes - 1 if labels are such numbers.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If the images are not of the model's size, there are none, or the labels are
            not of two classes at least.
        """
        array = self.training_images(images)
        name, device = type(self).__name__, backend_of(array).device
        values = host_labels(name, labels, len(array), device)
        classes = classes or classes_of(values, f"{name}: argument labels", self.n_classes)
        numbers = class_numbers(values, classes, f"{name}: argument labels")
        if numbers.min() == numbers.max():
            raise DataError(
                f"{name}: argument labels expected two or more classes to train on, got class "
                f"{classes[numbers[0]]!r} alone; add images of others"
            )
        return array, asarray(numbers, device=device), classes

    def training_images(self, images: Any) -> Any:
        """Return images as an array, checked: of the model's size, one at least.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If they are not.
        """
        array = unwrap(self.images(images))
        if not len(array):
            raise DataError(
                f"{type(self).__name__}: expected at least one image to train on, got none"
            )
        return array

    def fit_preprocessing(self, images: Any) -> Any:
        """Fit the preprocessing on training images (N, C, H, W), and return what it makes of them."""
        array = self.training_images(images)
        if self.preprocessing is not None:
            self.preprocessing.fit(array)
        return self.preprocess(array)

    @plain_arguments
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
        report: Callable[[Progress], None] = no_report,
    ) -> LinearFit:
        """Fit the linear classifier on the features of images; arguments as for `models.classifier.fit_linear`.

        The images are scaled as those of `fit_unsupervised`; labels are integers,
        strings or booleans.

        Features of more than `memory` bytes, 8 GiB by default, go to a temporary file
        while it is fitted.
        """
        array, y, classes = self.training_set(images, labels)
        if self.data_format is not None:
            self._on_scale(array)
        fit = fitting.fit_classifier(
            self,
            self.preprocess(array),
            y,
            loss=loss,
            l2=l2,
            iterations=iterations,
            memory=memory,
            groups=groups_of_equal(array),
            rng=default_rng(rng),
            report=report,
        )
        self.describe(array, classes, self.data_format)
        return fit
