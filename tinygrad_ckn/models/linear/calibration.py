"""Temperature scaling: probabilities from scores, calibrated on held-out examples.

The softmax of scores / T ranks classes as the scores do; T makes the mean probability of
the predicted class about equal to the accuracy. Source: C. Guo, G. Pleiss, Y. Sun and
K. Weinberger, On calibration of modern neural networks, ICML 2017, arXiv 1706.04599,
section 4.2.

n examples, k classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_ckn.backend import NDArray, to_numpy

# Bound of |ln(T / mean absolute score)|.
_RANGE = 8.0


def fit_temperature(
    scores: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any] | None = None
) -> float:
    """Return the temperature T that maximises the likelihood of softmax(scores / T).

    Parameters
    ----------
    scores : array
        (n, k), n >= 1, of examples that the classifier was not fitted on.
    labels : array
        Class numbers (n,).
    weights : array or None, default None
        Of the examples (n,), >= 0, not all 0.

    Examples
    --------
    >>> scores = np.array([[1.0, -1.0], [1.0, -1.0], [1.0, -1.0], [1.0, -1.0]])
    >>> T = fit_temperature(scores, np.array([0, 0, 0, 1]))  # three of four are right
    >>> round(float(1 / (1 + np.exp(-2 / T))), 4)
    0.75
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    def mean(values: NDArray[Any]) -> float:
        return float(values.mean() if weights is None else np.average(values, weights=weights))

    s = to_numpy(scores).astype("float64")
    # (n, k)
    s = s - s.max(axis=1, keepdims=True)
    label_scores = s[np.arange(len(s)), to_numpy(labels)]
    spread = float(abs(s).mean()) or 1.0

    def loss(log_inverse: float) -> float:
        inverse = np.exp(log_inverse) / spread
        return mean(logsumexp(inverse * s, axis=1) - inverse * label_scores)

    optimum = minimize_scalar(
        loss, bounds=(-_RANGE, _RANGE), method="bounded", options={"xatol": 1e-6}
    )
    return float(spread / np.exp(optimum.x))
