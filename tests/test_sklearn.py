import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from tinygrad_ckn.sklearn import CKNClassifier, CKNRegressor, CKNTransformer

@pytest.mark.filterwarnings("ignore:.* distinct patches or more for:sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([CKNTransformer(), CKNClassifier(), CKNRegressor()])
def test_checks(estimator, check):
    check(estimator)
