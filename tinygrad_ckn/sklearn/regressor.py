"""Ridge regression on the features of a CKN as a scikit-learn regressor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import Tags

from tinygrad_ckn.backend import NDArray
from tinygrad_ckn.models.example_weights import check_weights
from tinygrad_ckn.models.kernels import Kernel
from tinygrad_ckn.models.linear.ridge import fit_ridge
from tinygrad_ckn.models.network_structure import MirrorAverage
from tinygrad_ckn.models.preprocessing.chain import PreprocessorSpec
from tinygrad_ckn.ops.pool_matrices import Subsampling
from tinygrad_ckn.sklearn.base import CKNEstimator, Dtype, PerLayer, RandomState
from tinygrad_ckn.windows import Padding, Pair


class CKNRegressor(RegressorMixin, CKNEstimator):
    """Ridge regression on the features of a convolutional kernel network.

    The filters are learned without the targets.

    Parameters
    ----------
    l2 : float or None, default None
        As for `models.fit_ridge`. None: the best one by leave-one-out error.
    image_shape, channels_last, preprocessing, mirror_average, preset
        As for `CKNTransformer`.
    n_filters, kernel_size, subsampling, kernel, sigma, padding, eps
        As for `CKNTransformer`; but the defaults give one layer without pooling, because
        pooling discards positions, which matter more to a number than to a class.
    n_patches, iterations, random_state, dtype
        As for `CKNTransformer`.

    Attributes
    ----------
    model_ : CKN
        The network; its own classifier is not used.
    head_ : LinearFit
        The regression fitted to its features.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of its columns, if X has some.

    Examples
    --------
    >>> waves = np.sin(np.linspace(0.5, 3, 40)[:, None] * np.arange(16))
    >>> ckn = CKNRegressor(n_filters=8).fit(waves, np.linspace(0.5, 3, 40))
    >>> bool(ckn.score(waves, np.linspace(0.5, 3, 40)) > 0.99)
    True
    """

    def __init__(
        self,
        *,
        l2: float | None = None,
        image_shape: Sequence[int] | None = None,
        channels_last: bool | None = None,
        preprocessing: PreprocessorSpec = None,
        mirror_average: MirrorAverage | None = None,
        preset: str | None = None,
        n_filters: PerLayer[int] = 32,
        kernel_size: PerLayer[Pair] = 3,
        subsampling: PerLayer[Subsampling] = 1,
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
        self.l2 = l2

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the filters, then the regression.

        Parameters
        ----------
        X : array-like
            (n, columns), numbers.
        y : array-like
            Numbers (n,) or (n, k).
        sample_weight : array-like or None, default None
            Weights (n,) >= 0 of the rows in the regression. The filters are learned from
            all rows of weight > 0 alike.

        Raises
        ------
        ValueError
            If X or y is invalid, or a parameter is out of range.
        """
        x, targets = self._read(X, y, multi_output=True, y_numeric=True)
        images = self._images(x)
        weights = None
        if sample_weight is not None:
            weights = check_weights(self._name, sample_weight, len(images))
            counted = weights > 0
            images, targets, weights = images[counted], targets[counted], weights[counted]
        self.model_ = self._fit_model(images, 2, self._learn_filters)
        features = self.model_.encode(images)
        self.head_ = fit_ridge(features, targets, l2=self.l2, sample_weight=weights)
        self._flat = targets.ndim == 1
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return predictions in float64, (n,) or (n, k) as the shape of y in `fit`."""
        images = self._fitted(X)
        features = self.model_.encode(images).astype("float64")
        predictions: NDArray[np.float64] = features @ self.head_.weight.T + self.head_.bias
        return predictions[:, 0] if self._flat else predictions

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
