"""The features of a CKN that was learned without labels, as a transformer."""

from __future__ import annotations

import math
from typing import Any, Self

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from tinygrad_ckn.backend import CPU
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.linear.moments import Moments
from tinygrad_ckn.sklearn.base import CKNEstimator

# times the resolution of a dtype: features that differ by less, relative to their size,
# are alike
_ROUNDING = 10


class CKNTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, CKNEstimator):
    """The features of a convolutional kernel network whose filters are learned without labels.

    Each row of X is an image, or a signal. K-means draws patches at random, so a row's
    weight has no exact meaning: there is no `sample_weight`.

    Parameters
    ----------
    scale
        Whether features come as (f - mean_) / scale_: their means over X are 0, their
        variances 1 on average. Linear models expect that: their default regularisation
        suits features of this size, and they converge sooner. It is one number for all
        features, so distances of feature vectors stay those of the kernel, over scale_.
        False: features as the network gives them.
    image_shape
        (C, H, W) or (H, W), of which the product is the number of columns; None:
        signals, (1, 1, columns).
    channels_last
        Whether the columns of X are in the order (H, W, C); None: (C, H, W), unless
        image_shape looks like (H, W, C).
    preprocessing, mirror_average
        As for `models.CKN`: what images go through first, fitted on X
        ("local_whitening" for photographs), and what is the mean over an image and its
        mirror image.
    preset
        A CKN of `models.PRESETS`, in place of n_filters, kernel_size, subsampling,
        kernel, sigma, padding and eps.
    n_filters
        Filters of each layer; one number for one layer. Where the data have fewer
        distinct patches, a layer has as many filters as there are patches, and a
        ConvergenceWarning says so.
    kernel_size, subsampling, kernel, padding, eps
        Options of `models.CKNLayer`, for all layers, or in a list or array one for
        each. Kernels are cut to the maps they see.
    sigma
        Of the kernel "exponential"; other kernels do not have it.
    n_patches
        Patches drawn for each layer, at most; no more than four for each pixel or
        sample that X has in a channel.
    iterations
        Of k-means, at most.
    random_state
        Seed, by default 0; numpy.random.RandomState; or None, for NumPy's global state.
    dtype
        "float32" or "float64", of the network and its features; None: that of X, and
        "float64" if it has another.

    Attributes
    ----------
    model_ : CKN
        The network.
    mean_ : ndarray
        Means of its features over X, float64; with scale=False None.
    scale_ : float
        Root of the mean of their variances over X; 1 with scale=False, or where all
        rows of X have the same features.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of its columns, if it had some.

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
        self.scale = scale

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the filters, then mean and scale of the features.

        Parameters
        ----------
        X
            (n, columns), numbers.
        y
            Ignored.

        Raises
        ------
        ValueError
            If X is not finite and two-dimensional, all rows are 0, or a parameter is
            out of its range.
        """
        self._fit_features(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Return what fit(X).transform(X) does, but compute the features once."""
        return self._scaled(self._fit_features(X))

    def _fit_features(self, X: Any) -> Any:
        """Learn all that `fit` does, and return the features of X as the network gives them."""
        if not isinstance(self.scale, bool | CPU.xp.bool):
            raise ConfigError(
                f"{self._name}: argument scale expected True or False, got {self.scale!r}"
            )
        images = self._images(self._read(X))
        self.model_ = self._fit_model(images, 2, self._learn_filters)
        self._n_features_out = self.model_.classifier.in_features
        features = self.model_.encode(images)
        found: tuple[Any, float] = _mean_and_scale(features) if self.scale else (None, 1.0)
        self.mean_, self.scale_ = found
        return features

    def _scaled(self, features: Any) -> Any:
        """Return features as `scale` says; they are overwritten."""
        if self.mean_ is not None:
            features -= self.mean_.astype(features.dtype)
            features /= self.scale_
        return features

    def transform(self, X: Any) -> Any:
        """Return the features (n, D) of rows (n, columns), in the network's dtype."""
        images = self._fitted(X)
        return self._scaled(self.model_.encode(images))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = (
            [self.dtype] if self.dtype else ["float64", "float32"]
        )
        return tags


def _mean_and_scale(features: Any) -> tuple[Any, float]:
    """Return the means of features (n, D), and the root of the mean of their variances: 1 where all rows are alike."""
    moments = Moments.of(features)
    alike = (
        _ROUNDING
        * float(CPU.xp.finfo(features.dtype).eps)
        * math.sqrt(float((moments.mean**2).sum()))
    )
    differ = moments.scale > alike and moments.spread > 0
    return moments.mean, moments.scale / math.sqrt(features.shape[1]) if differ else 1.0
