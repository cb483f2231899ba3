"""Ridge regression on the features of a CKN, as a regressor."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import RegressorMixin

from tinygrad_ckn.models.linear.ridge import fit_ridge
from tinygrad_ckn.sklearn.base import CKNEstimator


class CKNRegressor(RegressorMixin, CKNEstimator):
    """Ridge regression on the features of a convolutional kernel network whose filters are learned without labels.

    Parameters
    ----------
    l2
        As for `models.ridge.fit_ridge`; None: the best one with examples left out, one
        at a time.
    image_shape, channels_last, preprocessing, mirror_average, preset, n_filters, kernel_size,
    subsampling, kernel, sigma, \
padding, eps, n_patches, iterations, random_state, dtype
        As for `CKNTransformer`; but by default there is one layer, and no pooling,
        which forgets where things are: a number may depend on it more than a class
        does.

    Attributes
    ----------
    model_ : CKN
        The network; its own classifier is not used.
    head_ : LinearFit
        What was fitted to its features.

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
        image_shape: Any = None,
        channels_last: bool | None = None,
        preprocessing: Any = None,
        mirror_average: str | None = None,
        preset: str | None = None,
        n_filters: Any = 32,
        kernel_size: Any = 3,
        subsampling: Any = 1,
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
        self.l2 = l2

    def fit(self, X: Any, y: Any) -> Self:
        """Learn the filters, then the regression.

        Parameters
        ----------
        X
            (n, columns), numbers.
        y
            Numbers (n,) or (n, k).

        Raises
        ------
        ValueError
            If X or y is not what it should be, or a parameter is out of its range.
        """
        x, targets = self._read(X, y, multi_output=True, y_numeric=True)
        images = self._images(x)
        self.model_ = self._fit_model(images, 2, self._learn_filters)
        self.head_ = fit_ridge(self.model_.encode(images), targets, l2=self.l2)
        self._flat = targets.ndim == 1
        return self

    def predict(self, X: Any) -> Any:
        """Return predictions (n,) or (n, k), as y was, in float64."""
        images = self._fitted(X)
        found = self.model_.encode(images).astype("float64") @ self.head_.weight.T + self.head_.bias
        return found[:, 0] if self._flat else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
