"""The Nystrom features of a kernel, as a transformer."""

from __future__ import annotations

import warnings
from typing import Any, Self

from scipy.linalg import eigh
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from tinygrad_ckn.backend import CPU, is_whole
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models.kernels import Kernel, make_kernel


class KernelNystroem(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Features whose products approximate a kernel of `models.kernels`, from some rows of X (Williams, Seeger 2001).

    It is scikit-learn's `Nystroem` for the kernels of this library. `Nystroem` itself
    calls such a kernel once for each pair of rows; here Gram matrices are computed as a
    whole.

    The features of x are K(z, z)^(-1/2) K(z, x) for rows z drawn from X. Directions in
    which K(z, z) is 0 but for rounding are left out.

    Parameters
    ----------
    kernel
        A Kernel, its name ("exponential") or its `config()`.
    n_components
        Rows that are drawn, and features; of fewer rows than that all are taken, and a
        ConvergenceWarning says so.
    random_state
        Seed, by default 0; numpy.random.RandomState; or None, for NumPy's global state.

    Attributes
    ----------
    components_ : ndarray
        The rows z drawn, (n_components, columns).
    component_indices_ : ndarray
        Their numbers in X.
    normalization_ : ndarray
        K(z, z)^(-1/2).
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of its columns, if it had some.

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
        kernel: Kernel | str = "exponential",
        *,
        n_components: int = 100,
        random_state: Any = 0,
    ) -> None:
        self.kernel = kernel
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw rows, and compute K(z, z)^(-1/2).

        Parameters
        ----------
        X
            (n, columns), numbers.
        y
            Ignored.

        Raises
        ------
        ValueError
            If X is not finite and two-dimensional, or a parameter is out of its range.
        """
        if not is_whole(self.n_components, 1):
            raise ConfigError(
                f"KernelNystroem: argument n_components expected an integer >= 1, got {self.n_components!r}"
            )
        x = validate_data(self, X, dtype=["float64", "float32"])
        gram = make_kernel(self.kernel)
        if self.n_components > len(x):
            warnings.warn(
                f"KernelNystroem: argument n_components expected at most the {len(x)} rows of X, got "
                f"{self.n_components}, and has {len(x)}; use fewer",
                ConvergenceWarning,
                stacklevel=2,
            )
        order = check_random_state(self.random_state).permutation(len(x))
        self.component_indices_ = order[: self.n_components]
        self.components_ = x[self.component_indices_]
        values, vectors = eigh(gram(self.components_.astype("float64")))
        # The Gram matrices that are to be mapped are of the dtype of X, and so are
        # their errors.
        kept = values > len(values) * CPU.xp.finfo(x.dtype).eps * max(values[-1], 0)
        vectors = vectors[:, kept]
        self.normalization_ = ((vectors / CPU.xp.sqrt(values[kept])) @ vectors.T).astype(x.dtype)
        self._n_features_out = len(self.components_)
        return self

    def transform(self, X: Any) -> Any:
        """Return the features (n, n_components) of rows (n, columns), in the dtype of X, float64 for integers."""
        check_is_fitted(self)
        x = validate_data(self, X, reset=False, dtype=["float64", "float32"])
        components, normalization = (
            array.astype(x.dtype) for array in (self.components_, self.normalization_)
        )
        return make_kernel(self.kernel)(x, components) @ normalization

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
