import math

import numpy as np

from tinygrad_ckn import ops

x23 = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])


def test_the_squared_hinge_agrees_with_its_formula():
    scores, labels = x23, np.array([2, 0])
    hinge = 0.0
    for i, label in enumerate(labels):
        for k in range(3):
            t = 1 if k == label else -1
            hinge += max(0, 1 - t * scores[i, k]) ** 2 / 2
    assert math.isclose(ops.squared_hinge(scores, labels), hinge / 2)
