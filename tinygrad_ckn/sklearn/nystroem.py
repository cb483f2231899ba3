"""Nystrom features of a kernel as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from tinygrad_ckn import checks
from tinygrad_ckn.backend import NDArray
from tinygrad_ckn.models.kernels import Kernel, make_kernel
from tinygrad_ckn.sklearn.base import RandomState, validate


class KernelNystroem(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Features whose inner products approximate a kernel of `models.kernels`.

    It is scikit-learn's `Nystroem` (Williams, Seeger 2001) for the kernels of this
    library: `Nystroem` calls such a kernel once for each pair of rows, this class computes
    whole Gram matrices.

    The features of x are K(z, z)^(-1/2) K(z, x) for rows z drawn from X. Directions in
    which K(z, z) is 0 up to rounding are left out.

    Parameters
    ----------
    kernel : Kernel, str or dict, default "exponential"
        A kernel, its name or its `config()`.
    n_components : int, default 100
        Number of rows to draw, and of features. If X has fewer rows, all are used, with a
        ConvergenceWarning.
    random_state : int, RandomState or None, default 0
        Seed, numpy.random.RandomState, or None: NumPy's global state.

    Attributes
    ----------
    components_ : ndarray
        The rows z, (n_components, columns).
    component_indices_ : ndarray
        Their indices in X.
    normalization_ : ndarray
        K(z, z)^(-1/2).
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of its columns, if X has some.

    Examples
    --------
    >>> from tinygrad_ckn.models.kernels import Exponential
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> features = KernelNystroem(Exponential(sigma=1.0)).fit_transform(x)
    >>> features.shape, bool(abs(features @ features.T - Exponential(sigma=1.0)(x)).max() < 1e-3)
    ((200, 100), True)
    """

    def __init__(
        self,
        kernel: Kernel | str | Mapping[str, Any] = "exponential",
        *,
        n_components: int = 100,
        random_state: RandomState = 0,
    ) -> None:
        self.kernel = kernel
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Draw rows, and compute K(z, z)^(-1/2).

        Parameters
        ----------
        X : array-like
            (n, columns), numbers.
        y
            Ignored.

        Raises
        ------
        ValueError
            If X is not finite and two-dimensional, or a parameter is out of range.
        """
        checks.integers("KernelNystroem", n_components=self.n_components)
        x = validate(self, X, dtype=["float64", "float32"])
        gram = make_kernel(self.kernel)
        if self.n_components > len(x):
            warnings.warn(
                f"KernelNystroem: argument n_components expected at most the {len(x)} rows of X, "
                f"got {self.n_components}, and has {len(x)}; use fewer",
                ConvergenceWarning,
                stacklevel=2,
            )
        order = check_random_state(self.random_state).permutation(len(x))
        self.component_indices_ = order[: self.n_components]
        self.components_ = x[self.component_indices_]
        values, vectors = eigh(gram(self.components_.astype("float64")))
        # `transform` computes Gram matrices in the dtype of X, with its rounding.
        positive = values > len(values) * np.finfo(x.dtype).eps * max(values[-1], 0)
        vectors = vectors[:, positive]
        self.normalization_ = ((vectors / np.sqrt(values[positive])) @ vectors.T).astype(x.dtype)
        self._n_features_out = len(self.components_)
        return self

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Return the features (n, n_components) of rows (n, columns).

        They have the dtype of X, float64 for integers.
        """
        check_is_fitted(self)
        x = validate(self, X, reset=False, dtype=["float64", "float32"])
        gram = make_kernel(self.kernel)(x, self.components_.astype(x.dtype))
        features: NDArray[Any] = gram @ self.normalization_.astype(x.dtype)
        return features

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
