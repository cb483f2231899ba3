"""Settings of all tests and doctests."""

import gc
import os
import sys

# Arrays are small and tests run in two processes: BLAS threads would only interfere.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The package and the tests are compiled once, not by each process that a test starts.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import numpy as np
import pytest

import tinygrad_ckn
from tinygrad_ckn import backend, ops
from tinygrad_ckn.errors import BackendError

sys.dont_write_bytecode = False
pytest_plugins = ["tools.sampled_coverage"]

try:
    from hypothesis import HealthCheck, settings
except ImportError:
    # The base install has doctests only.
    pass
else:
    shared = {
        "deadline": None,
        "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    }
    settings.register_profile("dev", max_examples=10, **shared)
    settings.register_profile("ci", max_examples=10, derandomize=True, print_blob=True, **shared)
    settings.register_profile("thorough", max_examples=300, **shared)
    settings.load_profile(
        os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev")
    )


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    doctest_namespace.update({"np": np, "ops": ops, "Tensor": tinygrad_ckn.Tensor})


def pytest_collection_finish(session):
    """Take the ten thousand tests out of the sight of the garbage collector.

    A collection then takes milliseconds instead of half a second.
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    """Seed the package generator; skip a test that needs a GPU if there is none."""
    tinygrad_ckn.manual_seed(0)
    if item.get_closest_marker("gpu"):
        try:
            backend.use("cuda")
        except BackendError as error:
            pytest.skip(str(error))
