from typing import Any

from tinygrad_ckn.training.metrics import ReliabilityBin
from tinygrad_ckn.training.report.curves import curves, l2_chart, reliability_chart

EPOCHS: list[dict[str, Any]] = [
    {"phase": "epoch", "done": 1, "loss": 0.5, "train_accuracy": 0.5, "validation_accuracy": 0.4},
    {"phase": "epoch", "done": 2, "loss": 0.4, "train_accuracy": 0.6, "validation_accuracy": 0.3},
]


def test_the_kept_epoch_and_the_refitted_classifier_are_marked():
    records = [*EPOCHS, {"phase": "kept", "done": 1}, {"phase": "test", "accuracy": 0.978}]
    accuracy, loss = curves(records)
    assert accuracy.kept is not None and accuracy.kept[1] == "kept: epoch 1"
    assert accuracy.kept[0] == accuracy.lines[0].points[0][0]
    assert accuracy.star is not None and accuracy.star[2] == "test, classifier fitted again"
    assert [line.label for line in accuracy.lines] == ["training", "validation"]
    assert [line.label for line in loss.lines] == ["training"]
    assert loss.star is None
    assert "training 0.6, validation 0.3. Kept epoch 1." in accuracy.description
    assert "0.978" in accuracy.description


def test_a_training_under_way_has_the_curves_so_far():
    accuracy, _ = curves(EPOCHS)
    assert accuracy.kept is None and accuracy.star is None
    assert curves([]) == []


def test_l2_is_that_of_the_last_classifier():
    first = {"phase": "classifier", "l2": 1e-3, "held_out_error_0.001": 0.5}
    last = {
        "phase": "classifier",
        "l2": 1e-5,
        "held_out_error_0.0001": 0.2,
        "held_out_error_1e-05": 0.1,
    }
    chart = l2_chart([first, last])
    assert chart is not None and chart.kept is not None
    assert chart.kept[1] == "chosen: 1e-05"
    left, right = chart.lines[0].points
    assert left[0] == chart.kept[0] < right[0]
    assert "error of 0.1" in chart.description
    assert l2_chart([{"phase": "classifier", "l2": 1e-5}]) is None


def test_reliability():
    chart = reliability_chart(
        [ReliabilityBin(0, 0.5, 1, 0.4, 1.0), ReliabilityBin(0.5, 1, 4, 0.8, 0.5)]
    )
    assert chart is not None and chart.diagonal
    assert chart.lines[0].radii == [5.0, 8.0]
    assert "4 images of mean probability 0.80: 0.50 right" in chart.description
    assert reliability_chart([]) is None
