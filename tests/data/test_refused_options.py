import pytest

from tinygrad_ckn.data import load
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.refused_options import refuse_group
from tinygrad_ckn.errors import DataError


def test_groups_are_refused_where_there_are_none_to_train_on():
    with pytest.raises(DataError, match="argument group expected None with digits, whose format"):
        load("digits", group="subject")
    refuse_group("digits", Reading(group="subject", like=load("digits").data_format))
