import json

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.report import as_json, digits, grouped, mean_ratio, scale_of, verdict, write_json


def printed(results) -> str:
    console = Console(width=200, record=True)
    report.show(console, results)
    return console.export_text()


def row(text: str, name: str) -> list[str]:
    """Return the cells of a row of a table."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"│ {name} ")]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_units_and_digits():
    assert [scale_of(s) for s in (3.0, 0.25, 2e-5)] == [(1.0, "s"), (1e3, "ms"), (1e6, "us")]
    assert [digits(v) for v in (1.234, 12.34, 123.4, 1234.5)] == ["1.23", "12.3", "123", "1,234"]


@pytest.mark.parametrize(
    ("ratio", "target", "said"),
    [
        (None, 0.5, ""),
        (0.5, None, "0.50"),
        (0.5, 0.5, "0.50 (at most 0.5: met)"),
        (0.501, 0.5, "0.50 (at most 0.5: MISSED)"),
        (0.0204, 0.02, "0.020 (at most 0.02: MISSED)"),
    ],
)
def test_verdict(ratio, target, said):
    assert verdict(ratio, target) == said


def test_a_table_of_sides(made_up):
    text = printed([made_up()])
    assert "a step: 3 steps each, 2 threads" in text
    assert "median ms" in text
    assert row(text, "tinygrad-ckn") == [
        "tinygrad-ckn",
        "2.00",
        "1.00",
        "1.50 - 2.50",
        "",
        "50",
        "10",
        "",
        "1e-06",
    ]
    slow = row(text, "slow")
    assert slow[4] == "0.50 (at most 0.6: met)"
    assert slow[5:8] == ["90", "20", "0.50 (at most 0.4: MISSED)"]
    assert row(text, "fast")[4:8] == ["2.00 (at most 0.6: MISSED)", "", "", ""]
    assert "tinygrad-ckn: malloc as the system has it; openblas, 2 threads" in text
    assert "slow: malloc MALLOC_MMAP_MAX_=0; no BLAS" in text
    assert "left out: absent: it is not installed" in text


def test_a_table_of_times_per_unit(made_up):
    text = printed([made_up(unit="image")])
    assert "time per unit" in text
    assert row(text, "tinygrad-ckn")[4] == "500 us / image"
    assert row(text, "slow")[4:8] == ["500 us / image", "90", "20", ""]


def test_a_group_is_one_table(made_up):
    results = [
        made_up("first"),
        made_up("3x3", group="by shape"),
        made_up("5x5", group="by shape"),
        made_up("last"),
    ]
    results[2].sides.pop()
    assert [(group, len(members)) for group, members in grouped(results)] == [
        ("", 1),
        ("by shape", 2),
        ("", 1),
    ]
    text = printed(results)
    assert "by shape, median ms, 2 threads" in text
    met, missed = "0.50 (at most 0.6: met)", "2.00 (at most 0.6: MISSED)"
    assert row(text, "3x3") == ["3x3", "2.00", "4.00", "1.00", met, missed]
    assert row(text, "5x5") == ["5x5", "2.00", "4.00", "-", met, "-"]
    mean = "0.50 (at most 0.4: MISSED)"
    assert row(text, "geometric mean") == ["geometric mean", "", "", "", mean, "2.00"]


def test_the_mean_of_ratios_is_geometric_and_over_the_cases_with_that_peer(made_up):
    first, second = made_up("first"), made_up("second")
    second.sides[0].seconds = [0.032]
    assert mean_ratio([first, second], "slow") == pytest.approx(2.0)
    del second.sides[1:]
    assert mean_ratio([first, second], "slow") == pytest.approx(0.5)
    assert mean_ratio([second], "slow") is None


def test_json(made_up, tmp_path):
    write_json(
        tmp_path / "results.json",
        as_json({"processor": "P"}, {"suite": [made_up()]}, {"other": "it failed"}),
    )
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["machine"] == {"processor": "P"}
    assert content["failures"] == {"other": "it failed"}
    (case,) = content["suites"]["suite"]
    assert (case["name"], case["threads"], case["left_out"]) == (
        "a step",
        2,
        {"absent": "it is not installed"},
    )
    ours, slow, fast = case["sides"]
    assert ours["seconds"] == [0.001, 0.002, 0.003]
    assert ours["summary"] == {"median": 0.002, "minimum": 0.001, "lower": 0.0015, "upper": 0.0025}
    assert ours["libraries"] == ["openblas, 2 threads"]
    assert (slow["ratio"], slow["target"], slow["memory_ratio"], slow["memory_target"]) == (
        0.5,
        0.6,
        0.5,
        0.4,
    )
    assert slow["malloc"] == {"MALLOC_MMAP_MAX_": "0"}
    assert (fast["peak"], fast["memory_ratio"], fast["errors"]) == (None, None, {"map": 0.0})
