"""`python -m benchmarks` is `tinygrad-ckn bench`."""

import sys

from tinygrad_ckn.cli import app

app(["bench", *sys.argv[1:]], prog_name="python -m benchmarks")
