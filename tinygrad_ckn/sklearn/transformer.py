"""The features of a CKN that was learned without labels, as a transformer."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from tinygrad_ckn.sklearn._base import CKNEstimator


class CKNTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, CKNEstimator):
    """The features of a convolutional kernel network whose filters are learned without labels.

    Each row of X is an image, or a signal. K-means draws patches at random, so a row's weight has no exact meaning:
    there is no `sample_weight`.

    Parameters
    ----------
    image_shape
        (C, H, W) or (H, W), of which the product is the number of columns; None: signals, (1, 1, columns).
    channels_last
        Whether the columns of X are in the order (H, W, C); None: (C, H, W), unless image_shape looks like (H, W, C).
    preprocessing, mirrored
        As for `models.CKN`: what images go through first, fitted on X ("local_whitening" for photographs), and what is
        the mean over an image and its mirror image.
    preset
        A CKN of `models.PRESETS`, in place of n_filters, kernel_size, subsampling, kernel, sigma, padding and eps.
    n_filters
        Filters of each layer; one number for one layer. Where the data have fewer distinct patches, a layer has as many
        filters as there are patches, and a ConvergenceWarning says so.
    kernel_size, subsampling, kernel, padding, eps
        Options of `models.CKNLayer`, for all layers, or in a list or array one for each. Kernels are cut to the maps
        they see.
    sigma
        Of the kernel "exponential"; other kernels do not have it.
    n_patches
        Patches drawn for each layer, at most; no more than four for each pixel or sample that X has in a channel.
    iterations
        Of k-means, at most.
    random_state
        Seed, by default 0; numpy.random.RandomState; or None, for NumPy's global state.
    dtype
        "float32" or "float64", of the network and its features; None: that of X, and "float64" if it has another.

    Attributes
    ----------
    model_ : CKN
        The network.
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

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the filters.

        Parameters
        ----------
        X
            (n, columns), numbers.
        y
            Not looked at.

        Raises
        ------
        ValueError
            If X is not finite and two-dimensional, all rows are 0, or a parameter is out of its range.
        """
        self.model_ = self._fit_model(self._images(self._read(X)), 2, self._learn_filters)
        self._n_features_out = self.model_.classifier.in_features
        return self

    def transform(self, X: Any) -> Any:
        """Return the features (n, D) of rows (n, columns), in the network's dtype."""
        images = self._fitted(X)
        return self.model_.encode(images)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = [self.dtype] if self.dtype else ["float64", "float32"]
        return tags
