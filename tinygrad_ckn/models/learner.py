"""What a network is taught and measured with: labelled images, checked, and the fit of its classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_ckn.backend import Generator, backend_of
from tinygrad_ckn.backend import rng as generator
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.graph import raw
from tinygrad_ckn.models import fitting
from tinygrad_ckn.models.classifier import LinearFit
from tinygrad_ckn.models.encoding import MEMORY
from tinygrad_ckn.models.inputs import check_labels
from tinygrad_ckn.models.network import Network
from tinygrad_ckn.models.progress import Progress, quiet


class Learner(Network):
    """A network that learns from images and labels; `CKN` and `CNN` say how."""

    def accuracy(self, images: Any, labels: Any) -> float:
        """Return the share of images whose predicted class is the label.

        Raises
        ------
        DataError
            If there are no images, or labels are not one class number for each.
        NotFittedError
            If the classifier is still the random one, and the model not in eval mode.
        """
        array = self._checked(images)
        expected = self.labels(labels, array)
        self._check_fitted("accuracy")
        return float((self.predict(array) == expected).mean())

    def labels(self, labels: Any, images: Any) -> Any:
        """Return the labels of images, checked: n >= 1 integers (n,) from 0 to n_classes - 1, where the images are.

        Raises
        ------
        DataError, BackendError
            If they are not.
        """
        device = backend_of(raw(images)).device
        return check_labels(type(self).__name__, labels, len(images), self.n_classes, device)

    def training_set(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Return images and labels as arrays, checked.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If the images are not of the model's size, there are none, or the labels are not of two classes at least.
        """
        array = self.training_images(images)
        y = self.labels(labels, array)
        if int(y.min()) == int(y.max()):
            raise DataError(
                f"{type(self).__name__}: argument labels expected two or more classes to train on, got class {y[0]} "
                "alone; add images of others"
            )
        return array, y

    def training_images(self, images: Any) -> Any:
        """Return images as an array, checked: of the model's size, one at least.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If they are not.
        """
        array = raw(self.images(images))
        if not len(array):
            raise DataError(f"{type(self).__name__}: expected at least one image to train on, got none")
        return array

    def fit_preprocessing(self, images: Any) -> Any:
        """Fit the preprocessing on training images (N, C, H, W), and return what it makes of them."""
        array = self.training_images(images)
        if self.preprocessing is not None:
            self.preprocessing.fit(array)
        return self.preprocess(array)

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
    ) -> LinearFit:
        """Fit the linear classifier on the features of images; arguments as for `models.classifier.fit_linear`.

        Features of more than `memory` bytes, 8 GiB by default, go to a temporary file while it is fitted.
        """
        array, y = self.training_set(images, labels)
        return fitting.fit_classifier(
            self,
            self.preprocess(array),
            y,
            loss=loss,
            l2=l2,
            iterations=iterations,
            memory=memory,
            rng=generator(rng),
            report=report,
        )
