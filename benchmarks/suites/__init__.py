"""The suites, by name."""

from benchmarks.suite import Suite
from benchmarks.suites.ckn5 import ckn5

SUITES: dict[str, Suite] = {suite.name: suite for suite in (ckn5,)}
