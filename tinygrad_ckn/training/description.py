"""The description of a run's data in config.json."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.data import Dataset
from tinygrad_ckn.fingerprints import as_text


def description_of(dataset: Dataset) -> dict[str, Any]:
    """Return the entry of config.json on the data: their format and fingerprints.

    Counts of copies, of labels that contradict each other, and of images whose group is
    in another part, are there if they are not 0.
    """
    parts = {"train": dataset.train, "test": dataset.test, "validation": dataset.validation}
    present = {name: split for name, split in parts.items() if split is not None}
    remarks = {
        "copies": dataset.copies,
        "shared_groups": dataset.shared_groups,
        "conflicting_labels": dataset.n_conflicting,
    }
    return {
        "name": dataset.name,
        "train": len(dataset.train),
        "test": 0,
        **{name: len(split) for name, split in present.items()},
        **{name: remark for name, remark in remarks.items() if remark},
        "n_classes": dataset.n_classes,
        **dataset.data_format.config(),
        "fingerprints": {
            "test": "",
            **{name: as_text(split.fingerprints) for name, split in present.items()},
        },
    }
