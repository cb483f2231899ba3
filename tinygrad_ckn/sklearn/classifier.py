"""A CKN with its linear classifier as a scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from tinygrad_ckn.backend import Generator, NDArray
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.models import CKN, FineTuning
from tinygrad_ckn.models.example_weights import ClassWeight, example_weights
from tinygrad_ckn.models.kernels import Kernel
from tinygrad_ckn.models.linear.problem import Loss
from tinygrad_ckn.models.network_structure import MirrorAverage
from tinygrad_ckn.models.preprocessing.chain import PreprocessorSpec
from tinygrad_ckn.ops.pool_matrices import Subsampling
from tinygrad_ckn.sklearn.base import CKNEstimator, Dtype, PerLayer, RandomState, Report
from tinygrad_ckn.windows import Padding, Pair

# The parameters that are options of fine-tuning.
_FINE_TUNING = (
    "epochs",
    "batch_size",
    "lr",
    "validation",
    "label_smoothing",
    "mixup",
    "clip_norm",
    "ema",
)


class CKNClassifier(ClassifierMixin, CKNEstimator):
    """A convolutional kernel network with a linear classifier on its features.

    Weights of rows count in everything learned from labels, and rows of weight 0 not at
    all; but k-means draws patches from all other rows alike and at random, so that a row
    of weight 2 is not exactly the row twice.

    Parameters
    ----------
    loss : "cross_entropy" or "squared_hinge", default "cross_entropy"
        As for `models.fit_linear`.
    l2 : float or None, default None
        As for `models.fit_linear`. None: the best one on held-out rows.
    class_weight : "balanced", dict or None, default None
        Weights of classes, as for `CKN.fit`: by label, 1 for labels left out.
    supervised : bool, default False
        Whether to fine-tune the filters on the labels (`models.FineTuning`).
    epochs, lr, batch_size, validation, label_smoothing, mixup, clip_norm, ema
        Options of the fine-tuning, as for `models.FineTuning`.
    image_shape, channels_last, preprocessing, mirror_average, preset
        As for `CKNTransformer`.
    n_filters, kernel_size, subsampling, kernel, sigma, padding, eps
        As for `CKNTransformer`.
    n_patches, iterations, random_state, dtype
        As for `CKNTransformer`.

    Attributes
    ----------
    model_ : CKN
        The network with its classifier; `tinygrad_ckn.training.save_model` saves it.
    classes_ : ndarray
        The labels, sorted.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of its columns, if X has some.

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
        loss: Loss = "cross_entropy",
        l2: float | None = None,
        class_weight: ClassWeight | None = None,
        supervised: bool = False,
        epochs: int = 10,
        lr: float | None = None,
        batch_size: int = 128,
        validation: float = 0.1,
        label_smoothing: float = 0.0,
        mixup: float | None = None,
        clip_norm: float | None = None,
        ema: float | None = None,
        image_shape: Sequence[int] | None = None,
        channels_last: bool | None = None,
        preprocessing: PreprocessorSpec = None,
        mirror_average: MirrorAverage | None = None,
        preset: str | None = None,
        n_filters: PerLayer[int] = (32, 64),
        kernel_size: PerLayer[Pair] = 3,
        subsampling: PerLayer[Subsampling] = 2,
        kernel: PerLayer[Kernel | str] = "exponential",
        sigma: float = 0.6,
        padding: PerLayer[Padding] = "same",
        eps: PerLayer[float] = 1e-3,
        n_patches: int = 100_000,
        iterations: int = 10,
        random_state: RandomState = 0,
        dtype: Dtype | None = None,
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
        self.loss: Loss = loss
        self.l2 = l2
        self.class_weight: ClassWeight | None = class_weight
        self.supervised = supervised
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.validation = validation
        self.label_smoothing = label_smoothing
        self.mixup = mixup
        self.clip_norm = clip_norm
        self.ema = ema

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Learn the filters and the classifier.

        Parameters
        ----------
        X : array-like
            (n, columns), numbers.
        y : array-like
            Labels (n,) of any sortable type, of at least two classes.
        sample_weight : array-like or None, default None
            Weights (n,) >= 0 of the rows, times those of their classes.
        groups : array-like or None, default None
            Labels (n,) of rows that belong together, such as those of one subject: they
            are held out together, to choose l2, to calibrate and in fine-tuning.

        Raises
        ------
        ValueError
            If X or y is invalid, or a parameter is out of range.
        """
        x, y = self._read(X, y)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                "CKNClassifier: argument y expected labels of 2 classes or more, got 1 class, "
                f"{self.classes_.tolist()[0]!r}; add rows of others"
            )

        weights = None
        if self.class_weight is not None or sample_weight is not None:
            weights = example_weights(
                self._name, labels, self.classes_.tolist(), self.class_weight, sample_weight
            )

        def learn(model: CKN, images: NDArray[Any], rng: Generator, report: Report) -> None:
            descent = None
            if self.supervised:
                descent = FineTuning(**{name: getattr(self, name) for name in _FINE_TUNING})
            model.fit(
                images,
                labels,
                descent=descent,
                loss=self.loss,
                l2=self.l2,
                sample_weight=weights,
                groups=None if groups is None else np.asarray(groups),
                n_patches=self._enough_patches(images),
                iterations=self.iterations,
                rng=rng,
                report=report,
            )

        self.model_ = self._fit_model(self._images(x), len(self.classes_), learn)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Return scores (n, classes); for two classes their difference (n,), second - first."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the labels (n,) with the largest scores."""
        best = self._scores(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return probabilities (n, classes), calibrated as for `CKN.predict_proba`."""
        images = self._fitted(X)
        return self.model_.predict_proba(images)

    def _scores(self, X: ArrayLike) -> NDArray[Any]:
        images = self._fitted(X)
        return self.model_.scores(images)
