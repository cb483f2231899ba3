import math

import numpy as np
import pytest
from scipy.integrate import quad

from tinygrad_ckn.models.kernels import ArcCosine0, ArcCosine1


@pytest.mark.parametrize("theta", [0.0, 0.1, math.pi / 3, math.pi / 2, 2.5, math.pi])
def test_arc_cosine_kernels_are_means_over_random_units(theta: float) -> None:
    # Cho and Saul 2009, equation (1): 2 E[step(w.x) step(w.y) (w.x)^n (w.y)^n], w
    # Gaussian, in polar coordinates of the plane of x and y; E[r^2] = 2.
    def mean(unit) -> float:
        low, high = theta - math.pi / 2, math.pi / 2
        return (
            quad(lambda phi: unit(math.cos(phi)) * unit(math.cos(phi - theta)), low, high)[0]
            / math.pi
        )

    u = np.array(math.cos(theta))
    np.testing.assert_allclose(ArcCosine0().kappa(u), mean(lambda c: 1.0), atol=1e-12)
    np.testing.assert_allclose(ArcCosine1().kappa(u), 2 * mean(lambda c: c), atol=1e-12)
