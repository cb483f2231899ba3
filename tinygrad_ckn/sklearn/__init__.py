"""Estimators for scikit-learn pipelines and searches; needs the extra `[sklearn]`."""

from tinygrad_ckn.errors import MissingPackageError, how_to_install

try:
    from sklearn.utils.validation import validate_data  # noqa: F401  # new in 1.6
except ImportError as error:
    raise MissingPackageError(
        "tinygrad_ckn.sklearn: expected scikit-learn 1.6 or later, which does not import; "
        f"{how_to_install('sklearn')} ({error})"
    ) from error

from tinygrad_ckn.sklearn.classifier import CKNClassifier
from tinygrad_ckn.sklearn.nystroem import KernelNystroem
from tinygrad_ckn.sklearn.regressor import CKNRegressor
from tinygrad_ckn.sklearn.transformer import CKNTransformer

__all__ = ["CKNClassifier", "CKNRegressor", "CKNTransformer", "KernelNystroem"]


def __dir__() -> list[str]:
    return sorted(__all__)
