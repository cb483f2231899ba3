"""Probabilities from scores that are none by themselves: one temperature, chosen on examples held out.

The softmax of scores / T has the classes in the order of the scores; T makes the mean
probability of the class that is chosen about the share that is right. Source: C. Guo,
G. Pleiss, Y. Sun and K. Weinberger, On calibration of modern neural networks, ICML
2017, arXiv 1706.04599, section 4.2.

n examples, k classes.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import CPU, to_numpy

# of ln(T / spread of the scores), to either side
_RANGE = 8.0


def fit_temperature(scores: Any, labels: Any) -> float:
    """Return the temperature T for which the softmax of scores / T gives the labels most probability.

    Parameters
    ----------
    scores
        (n, k), n >= 1, of examples that the classifier was not fitted on.
    labels
        Class numbers (n,).

    Examples
    --------
    >>> scores = np.array([[1.0, -1.0], [1.0, -1.0], [1.0, -1.0], [1.0, -1.0]])
    >>> T = temperature_of(scores, np.array([0, 0, 0, 1]))  # three of four are right
    >>> round(float(1 / (1 + np.exp(-2 / T))), 4)
    0.75
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    s, y = to_numpy(scores).astype("float64"), to_numpy(labels)
    # (n, k)
    s = s - s.max(axis=1, keepdims=True)
    own = s[CPU.xp.arange(len(s)), y]
    spread = float(abs(s).mean()) or 1.0

    def loss(log_inverse: float) -> float:
        inverse = CPU.xp.exp(log_inverse) / spread
        return float((logsumexp(inverse * s, axis=1) - inverse * own).mean())

    found = minimize_scalar(
        loss, bounds=(-_RANGE, _RANGE), method="bounded", options={"xatol": 1e-6}
    )
    return float(spread / CPU.xp.exp(found.x))
