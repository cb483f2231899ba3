"""The features of a CKN as a scikit-learn transformer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags

from tinygrad_ckn import checks
from tinygrad_ckn.backend import NDArray
from tinygrad_ckn.models.kernels import Kernel
from tinygrad_ckn.models.linear.moments import Moments
from tinygrad_ckn.models.network_structure import MirrorAverage
from tinygrad_ckn.models.preprocessing.chain import PreprocessorSpec
from tinygrad_ckn.ops.pool_matrices import Subsampling
from tinygrad_ckn.plain import plain
from tinygrad_ckn.sklearn.base import CKNEstimator, Dtype, PerLayer, RandomState
from tinygrad_ckn.windows import Padding, Pair

# Features that differ by less than this times the resolution of their dtype, relative to
# their size, are equal.
_ROUNDING = 10


class CKNTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, CKNEstimator):
    """The features of a convolutional kernel network with filters learned without labels.

    Each row of X is an image or a signal. There is no `sample_weight`, because k-means
    draws patches at random and a row's weight would have no exact meaning.

    Parameters
    ----------
    scale : bool, default True
        Return features as (f - mean_) / scale_, with mean 0 over X and variance 1 on
        average. The default regularisation of linear models suits features of this size,
        and they converge sooner. scale_ is one number, so distances of feature vectors
        remain those of the kernel up to that factor. False: the network's features.
    image_shape : (int, int, int), (int, int) or None, default None
        (C, H, W) or (H, W), whose product is the number of columns. None: signals, (1, 1,
        columns).
    channels_last : bool or None, default None
        Whether the columns of X are ordered (H, W, C). None: (C, H, W), with an error if
        image_shape looks like (H, W, C).
    preprocessing, mirror_average
        As for `models.CKN`; preprocessing, for example "local_whitening" for photographs,
        is fitted to X.
    preset : str or None, default None
        A CKN of `models.PRESETS`, in place of n_filters, kernel_size, subsampling,
        kernel, sigma, padding and eps.
    n_filters : int or sequence of int, default (32, 64)
        Filters of each layer. A layer whose input has fewer distinct patches has that
        many filters, with a ConvergenceWarning.
    kernel_size, subsampling, kernel, padding, eps
        Options of `models.CKNLayer` for all layers, or a list or array with one per
        layer. Kernels are cut to the maps they see.
    sigma : float, default 0.6
        Of the kernel "exponential".
    n_patches : int, default 100_000
        Maximum number of patches per layer; never more than four per pixel or sample that
        X has in a channel.
    iterations : int, default 10
        Maximum number of k-means iterations.
    random_state : int, RandomState or None, default 0
        Seed, numpy.random.RandomState, or None: NumPy's global state.
    dtype : "float32", "float64" or None, default None
        Of the network and its features. None: that of X if it is one of these, else
        "float64".

    Attributes
    ----------
    model_ : CKN
        The network.
    mean_ : ndarray or None
        Means of its features over X, float64; None with scale=False.
    scale_ : float
        Root of the mean of their variances over X; 1 with scale=False, or if all rows of
        X have the same features.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of its columns, if X has some.

    Examples
    --------
    >>> from tinygrad_ckn.data import load_digits
    >>> images = load_digits().train.images[:100]
    >>> ckn = CKNTransformer(image_shape=(8, 8), n_filters=(8, 16))
    >>> ckn.fit_transform(images.reshape(100, -1)).shape
    (100, 64)
    """

    def __init__(
        self,
        *,
        scale: bool = True,
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
        self.scale = scale

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn the filters, then mean and scale of the features.

        Parameters
        ----------
        X : array-like
            (n, columns), numbers.
        y
            Ignored.

        Raises
        ------
        ValueError
            If X is not finite and two-dimensional, all rows are 0, or a parameter is out
            of range.
        """
        self._fit_features(X)
        return self

    def fit_transform(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, X: ArrayLike, y: object = None
    ) -> NDArray[Any]:
        """Return fit(X).transform(X), computing the features only once."""
        return self._scaled(self._fit_features(X))

    def _fit_features(self, X: ArrayLike) -> NDArray[Any]:
        """Fit, and return the network's features of X."""
        checks.one_of(self._name, (True, False), scale=plain(self.scale))
        images = self._images(self._read(X))
        self.model_ = self._fit_model(images, 2, self._learn_filters)
        self._n_features_out = self.model_.classifier.in_features
        features = self.model_.encode(images)
        self.mean_: NDArray[np.float64] | None = None
        self.scale_ = 1.0
        if self.scale:
            self.mean_, self.scale_ = _mean_and_scale(features)
        return features

    def _scaled(self, features: NDArray[Any]) -> NDArray[Any]:
        """Scale features in place, if `scale` is True, and return them."""
        if self.mean_ is not None:
            features -= self.mean_.astype(features.dtype)
            features /= self.scale_
        return features

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Return the features (n, D) of rows (n, columns), in the network's dtype."""
        images = self._fitted(X)
        return self._scaled(self.model_.encode(images))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = (
            [self.dtype] if self.dtype else ["float64", "float32"]
        )
        return tags


def _mean_and_scale(features: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """Return the means of features (n, D), and the root of the mean of their variances.

    The root is 1 if all rows are equal.
    """
    moments = Moments.of(features)
    norm = math.sqrt(float((moments.mean**2).sum()))
    differ = moments.scale > _ROUNDING * float(np.finfo(features.dtype).eps) * norm
    differ = differ and moments.spread > 0
    return moments.mean, moments.scale / math.sqrt(features.shape[1]) if differ else 1.0
