"""The suites, by name."""

from benchmarks.suite import Suite
from benchmarks.suites import (
    ckn5,
    ckn14,
    correlate2d,
    features,
    kernels,
    kmeans,
    memory,
    mlp,
    operations,
    programs,
    scaling,
)

_MODULES = (
    ckn5,
    ckn14,
    features,
    kmeans,
    correlate2d,
    operations,
    programs,
    mlp,
    scaling,
    memory,
    kernels,
)
SUITES: dict[str, Suite] = {module.SUITE.name: module.SUITE for module in _MODULES}
