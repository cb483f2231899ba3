"""A CKN with its linear classifier, as a classifier."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from tinygrad_ckn.backend import CPU, Generator
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.models import CKN, FineTuning
from tinygrad_ckn.sklearn.base import CKNEstimator, Report


def _is_probabilistic(estimator: Any) -> bool:
    """Tell whether scores are logarithms of probabilities, but for a number that is the same for all classes."""
    return bool(estimator.loss == "cross_entropy")


class CKNClassifier(ClassifierMixin, CKNEstimator):
    """A convolutional kernel network with a linear classifier on its features.

    K-means draws patches at random, so a row's weight has no exact meaning: there is no
    `sample_weight`.

    Parameters
    ----------
    loss
        "cross_entropy", or "squared_hinge", which has no `predict_proba`.
    l2
        As for `models.fit_linear`; None: the best one on a part held out.
    supervised
        Whether filters learn from the labels too, by `models.FineTuning`.
    epochs, lr, batch_size, validation
        Options of that descent.
    image_shape, channels_last, preprocessing, mirror_average, preset, n_filters, kernel_size,
    subsampling, kernel, sigma, \
padding, eps, n_patches, iterations, random_state, dtype
        As for `CKNTransformer`.

    Attributes
    ----------
    model_ : CKN
        The network with its classifier, as `tinygrad_ckn.training.save_model` takes it.
    classes_ : ndarray
        The labels, sorted.

    Examples
    --------
    >>> from tinygrad_ckn.data import load_digits
    >>> train = load_digits().train
    >>> ckn = CKNClassifier(image_shape=(8, 8), n_filters=(8, 16))
    >>> ckn = ckn.fit(train.images[:500].reshape(500, -1), train.labels[:500])
    >>> bool(ckn.score(train.images[500:].reshape(-1, 64), train.labels[500:]) > 0.9)
    True
    """

    def __init__(
        self,
        *,
        loss: str = "cross_entropy",
        l2: float | None = None,
        supervised: bool = False,
        epochs: int = 10,
        lr: float | None = None,
        batch_size: int = 128,
        validation: float = 0.1,
        image_shape: Any = None,
        channels_last: bool | None = None,
        preprocessing: Any = None,
        mirror_average: str | None = None,
        preset: str | None = None,
        n_filters: Any = (32, 64),
        kernel_size: Any = 3,
        subsampling: Any = 2,
        kernel: Any = "exponential",
        sigma: float = 0.6,
        padding: Any = "same",
        eps: float = 1e-3,
        n_patches: int = 100_000,
        iterations: int = 10,
        random_state: Any = 0,
        dtype: str | None = None,
    ) -> None:
        super().__init__(
            image_shape=image_shape,
            channels_last=channels_last,
            preprocessing=preprocessing,
            mirror_average=mirror_average,
            preset=preset,
            n_filters=n_filters,
            kernel_size=kernel_size,
            subsampling=subsampling,
            kernel=kernel,
            sigma=sigma,
            padding=padding,
            eps=eps,
            n_patches=n_patches,
            iterations=iterations,
            random_state=random_state,
            dtype=dtype,
        )
        self.loss = loss
        self.l2 = l2
        self.supervised = supervised
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.validation = validation

    def fit(self, X: Any, y: Any) -> Self:
        """Learn the filters and the classifier.

        Parameters
        ----------
        X
            (n, columns), numbers.
        y
            Labels (n,) of any kind that sorts, of at least two classes.

        Raises
        ------
        ValueError
            If X or y is not what it should be, or a parameter is out of its range.
        """
        x, y = self._read(X, y)
        check_classification_targets(y)
        self.classes_, labels = CPU.xp.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                "CKNClassifier: argument y expected labels of 2 classes or more, got 1 class, "
                f"{self.classes_.tolist()[0]!r}; add rows of others"
            )

        def learn(model: CKN, images: Any, random: Generator, report: Report) -> None:
            descent = None
            if self.supervised:
                descent = FineTuning(
                    epochs=self.epochs,
                    batch_size=self.batch_size,
                    lr=self.lr,
                    validation=self.validation,
                )
            model.fit(
                images,
                labels,
                descent=descent,
                loss=self.loss,
                l2=self.l2,
                n_patches=self._enough_patches(images),
                iterations=self.iterations,
                rng=random,
                report=report,
            )

        self.model_ = self._fit_model(self._images(x), len(self.classes_), learn)
        return self

    def decision_function(self, X: Any) -> Any:
        """Return scores (n, classes), or of two classes (n,) the second's less the first's."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> Any:
        """Return the labels (n,) with the largest scores."""
        best = self._scores(X).argmax(axis=1)
        return self.classes_[best]

    @available_if(_is_probabilistic)
    def predict_proba(self, X: Any) -> Any:
        """Return probabilities (n, classes); only with the loss "cross_entropy"."""
        from scipy.special import softmax

        return softmax(self._scores(X).astype("float64"), axis=1)

    def _scores(self, X: Any) -> Any:
        images = self._fitted(X)
        return self.model_.scores(images)
