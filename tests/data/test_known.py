import re

from tinygrad_ckn.data.by_name import BY_NAME
from tinygrad_ckn.data.known import KNOWN


def test_the_known_sets_are_those_loaded_by_name():
    assert {known.name for known in KNOWN} == set(BY_NAME)


def test_checksums_are_md5_and_different():
    checksums = [file.md5 for known in KNOWN for file in known.files]
    assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in checksums)
    assert len(set(checksums)) == len(checksums) == 21
