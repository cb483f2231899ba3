from dataclasses import asdict

from tinygrad_ckn.training.options import resolve
from tinygrad_ckn.training.report.options import option_rows


def test_options_that_differ_come_first():
    options = asdict(resolve("digits", mode="supervised", lr=0.5, seed=0))
    rows = option_rows({"data": {"name": "digits"}, "options": options})
    changed = [(row.name, row.value, row.default) for row in rows if row.changed]
    assert changed == [("mode", "supervised", "unsupervised"), ("lr", "0.5", "none")]
    assert [row.changed for row in rows] == sorted((row.changed for row in rows), reverse=True)


def test_the_defaults_of_a_data_set_are_not_changes():
    options = asdict(resolve("cifar10"))
    assert not any(
        row.changed for row in option_rows({"data": {"name": "cifar10"}, "options": options})
    )


def test_the_mode_of_a_network_is_its_default():
    options = asdict(resolve("digits", model="lenet"))
    rows = option_rows({"data": {"name": "digits"}, "options": options})
    assert [row.name for row in rows if row.changed] == ["model"]
