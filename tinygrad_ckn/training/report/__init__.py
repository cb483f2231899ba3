"""The report of runs as one HTML file, and what `train` stores for it.

`summary` is test.json; `facts` collects what is known of a run; `charts` computes
curves; `page` fills the templates.
"""

from tinygrad_ckn.training.report.page import framed

__all__ = ["framed"]


def __dir__() -> list[str]:
    return __all__
