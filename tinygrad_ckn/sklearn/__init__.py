"""Estimators for scikit-learn, for pipelines and searches; needs the extra `tinygrad-ckn[sklearn]`."""

from tinygrad_ckn.errors import MissingPackageError

try:
    from sklearn.utils.validation import validate_data  # noqa: F401  # new in 1.6
except ImportError as error:
    raise MissingPackageError(
        "tinygrad_ckn.sklearn: expected scikit-learn 1.6 or later, which does not import; "
        f"pip install 'tinygrad-ckn[sklearn]' ({error})"
    ) from error

from tinygrad_ckn.sklearn.classifier import CKNClassifier
from tinygrad_ckn.sklearn.nystroem import KernelNystroem
from tinygrad_ckn.sklearn.regressor import CKNRegressor
from tinygrad_ckn.sklearn.transformer import CKNTransformer

__all__ = ["CKNClassifier", "CKNRegressor", "CKNTransformer", "KernelNystroem"]
