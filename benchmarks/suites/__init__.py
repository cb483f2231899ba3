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
    programs,
    scaling,
)

SUITES: dict[str, Suite] = {
    module.SUITE.name: module.SUITE
    for module in (
        ckn5,
        ckn14,
        features,
        kmeans,
        correlate2d,
        mlp,
        programs,
        scaling,
        memory,
        kernels,
    )
}
