from collections.abc import Callable

import pytest

from tinygrad_ckn.errors import DataError
from tinygrad_ckn.training import Result, Run
from tinygrad_ckn.training.report.facts import facts_of


def test_a_finished_run(reported: Result):
    facts = facts_of(reported.run)
    assert facts.notes == []
    assert facts.measured is not None
    assert facts.measured.accuracy == reported.accuracy
    assert facts.measured.calibration_error is not None
    assert [row.name for row in facts.layers] == ["layer 1", "layer 2", "classifier"]
    assert facts.parameters == sum(p.size for p in reported.model.parameters())
    assert (facts.layers[0].inputs, facts.layers[0].outputs) == ("1 x 8 x 8", "32 x 4 x 4")
    assert facts.layers[1].nystrom_error is not None
    assert facts.seconds == pytest.approx(sum(reported.seconds.values()))
    assert all(row.memory for row in facts.phases)
    assert facts.peak_memory == reported.peak_memory
    assert len(facts.mistakes) == min(24, reported.total - reported.correct)
    assert dict(facts.data)["training images"] == "120"
    assert facts.filters is not None


def test_the_model_in_memory_gives_the_same(reported: Result):
    assert facts_of(reported.run, reported.model).layers == facts_of(reported.run).layers


def test_an_old_run_says_what_is_missing(copied: Callable[..., Run]):
    facts = facts_of(copied("test.json"))
    assert len(facts.notes) == 1
    assert "no test.json" in facts.notes[0]
    assert facts.measured is not None and facts.measured.calibration_error is None
    assert (facts.mistakes, facts.reliability) == ([], None)


def test_an_unfinished_run_shows_the_curves_so_far(copied: Callable[..., Run]):
    run = copied("test.json", "model.safetensors")
    path = run.folder / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    epoch = next(i for i, line in enumerate(lines) if b'"epoch"' in line)
    path.write_bytes(b"".join(lines[: epoch + 1]))
    facts = facts_of(run)
    assert facts.notes[0].startswith("This training is not finished")
    assert "no model" in facts.notes[1]
    assert not facts.finished and facts.measured is None
    assert [len(chart.lines[0].points) for chart in facts.curves] == [1, 1]
    assert [row.name for row in facts.phases] == ["filters by k-means", "classifier", "fine-tuning"]


def test_a_damaged_model_is_a_note(copied: Callable[..., Run]):
    run = copied()
    run.model_path.write_bytes(b"damaged")
    facts = facts_of(run)
    assert "could not be read" in facts.notes[0]
    assert facts.layers == [] and facts.measured is not None


@pytest.mark.parametrize(
    "line",
    [
        '{"phase": "test", "accuracy": "high", "confusion": [[1]]}',
        '{"phase": "test", "accuracy": 1, "confusion": [[1, 2]]}',
        '{"phase": "epoch", "done": 1, "loss": []}',
        '{"phase": "test", "accuracy": 1, "confusion": [["a"]]}',
    ],
)
def test_edited_lines_are_an_error_in_words(copied: Callable[..., Run], line: str):
    run = copied()
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"metrics.jsonl: expected the lines that train wrote"):
        facts_of(run)
