import re

import pytest

from tinygrad_ckn.data import load
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.refused_options import OF_ARRAYS, refuse_options
from tinygrad_ckn.errors import DataError


def test_groups_are_refused_where_there_are_none_to_train_on():
    with pytest.raises(DataError, match="argument group expected None with digits, whose format"):
        load("digits", group="subject")
    refuse_options("digits", Reading(group="subject", like=load("digits").data_format), frozenset())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"label": "last"}, "which is no table, got 'last'"),
        ({"header": False}, "which is no table, got False"),
        ({"resize": (4, 4)}, "which is no picture or folder of pictures, got (4, 4)"),
        ({"group": "who"}, "whose format has no groups, got 'who'"),
    ],
)
def test_each_refusal_says_why(given: dict, reason: str):
    message = f"load: argument {next(iter(given))} expected None with a.npy, {reason}; leave it out"
    with pytest.raises(DataError, match=re.escape(message)):
        refuse_options("a.npy", Reading(**given), OF_ARRAYS)


def test_options_that_have_a_meaning_are_let_in():
    refuse_options("a.npy", Reading(image_shape=(1, 2, 2), channels_last=False), OF_ARRAYS)
