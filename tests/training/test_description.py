import numpy as np

from tinygrad_ckn.data import Dataset, Split, load_digits
from tinygrad_ckn.fingerprints import as_text
from tinygrad_ckn.training.description import description_of

FEW = load_digits().train.take(np.arange(30))


def test_parts_that_there_are_are_described() -> None:
    names = tuple(map(str, range(10)))
    alone = description_of(Dataset("few", FEW, None, 10, names))
    assert (alone["name"], alone["train"], alone["test"]) == ("few", 30, 0)
    assert alone["fingerprints"] == {"test": "", "train": as_text(FEW.fingerprints)}
    assert not {"validation", "copies", "shared_groups", "conflicting_labels"} & set(alone)
    wrong = Split(FEW.images[:3], (FEW.labels[:3] + 1) % 10)
    more = description_of(Dataset("few", FEW, None, 10, names, validation=wrong))
    assert (more["validation"], more["copies"]) == (3, {"validation in training": 3})
    assert more["conflicting_labels"] == 6
    assert more["fingerprints"]["validation"] == as_text(wrong.fingerprints)
