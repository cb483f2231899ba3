"""Costs and rooflines agree with docs/gpu.md and with the kernels."""

import inspect
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import costs, roofline
from benchmarks.ckn import multiplications
from benchmarks.costs import Cost
from benchmarks.gpu_specs import CARDS, Card
from benchmarks.layers import encoding, layers_of, training
from tinygrad_ckn.cuda.pool import band_of
from tinygrad_ckn.models import CKN
from tinygrad_ckn.ops.pool_matrices import gaussian_matrices

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "gpu.md").read_text()
# Primes, so that no two formulas agree by chance.
SIZES = {
    "N": 2,
    "C": 13,
    "H": 31,
    "W": 37,
    "kh": 3,
    "kw": 5,
    "L": 41,
    "O": 7,
    "p": 11,
    "h": 17,
    "w": 19,
    "s": 2.5,
}
SIZES |= {"n": 5003, "d": 149, "k": 23, "m": 29, "l": 43, "kappa": 47, "slope": 53}
FUNCTIONS = {"T": costs.taps, "U": costs.adjoint_taps, "min": min, "max": max, "ceil": math.ceil}


def rows():
    """Return the rows of the table of formulas: name, read, written, FLOPs."""
    section = DOCS.split("## Bytes and operations of each kernel")[1].split("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line[:1] == "|"
    ]
    return [(name.strip("`"), *formulas) for name, *formulas in cells[2:]]


def value(formula):
    """Evaluate a formula of the docs for SIZES; adjacent factors are multiplied."""
    names, python = {**SIZES, **FUNCTIONS}, []
    names["S"] = math.ceil(SIZES["n"] / max(2048, math.ceil(SIZES["n"] / 64)))
    for token in re.findall(r"[A-Za-z]+|\d+|\S", formula.replace("^", "**")):
        before = python[-1] if python else "("
        starts = token[0].isalnum() or token == "("
        ends = before[-1].isalnum() or before == ")"
        if starts and ends and before not in FUNCTIONS:
            python.append("*")
        python.append(token)
    return eval("".join(python), {"__builtins__": {}}, names)


def test_formulas_are_parsed_correctly():
    assert value("2 N C (h W + 1)") == 2 * 2 * 13 * (17 * 37 + 1)
    assert value("N T(s) + ceil(d / 128) k^2") == 2 * 6 + 2 * 23**2


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_docs_have_the_formulas_that_are_computed(row):
    name, *formulas = row
    function = getattr(costs, {"map": "kappa_map"}.get(name, name))
    cost = function(
        **{parameter: SIZES[parameter] for parameter in inspect.signature(function).parameters}
    )
    assert cost.name == name
    assert [value(formula) for formula in formulas] == [cost.read, cost.written, cost.flops]


def test_the_docs_have_a_row_for_each_formula():
    functions = [
        f
        for f in vars(costs).values()
        if inspect.isfunction(f) and inspect.signature(f).return_annotation == "Cost"
    ]
    assert {row[0] for row in rows()} == {
        {"kappa_map": "map"}.get(f.__name__, f.__name__) for f in functions
    }


def test_the_docs_have_the_roofline_that_is_printed():
    command = [sys.executable, "-m", "benchmarks.roofline"]
    printed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert printed == "\n".join(roofline.table()) + "\n"
    assert printed in DOCS


@pytest.mark.parametrize("s", [1, math.sqrt(2), 1.5, 2, 3, 6])
def test_taps_are_those_of_the_bands(s):
    matrix = gaussian_matrices(np, (64, 64), (s, s), "float64")[0]
    assert band_of(np, matrix).taps == costs.taps(s)
    assert band_of(np, matrix.T).taps <= costs.adjoint_taps(s)


def test_products_of_a_forward_pass_are_those_of_the_cpu():
    found = sum(cost.flops for cost in encoding("ckn5", 3) if cost.product)
    assert found == 2 * multiplications("ckn5", 3, 32, 128)


@pytest.mark.parametrize("preset", ["ckn5", "ckn9", "ckn14", "unsup-64-256"])
def test_layers_have_the_shapes_of_the_network(preset):
    model = CKN.preset(preset, in_channels=3, image_size=32, n_classes=10)
    size = (32, 32)
    for layer, shapes in zip(model.layers, layers_of(preset, 1), strict=True):
        assert (layer.in_channels, layer.n_filters) == (shapes.c, shapes.p)
        assert size == (shapes.size, shapes.size)
        size = layer.output_size(size)
        assert size == (shapes.pooled, shapes.pooled)


def test_a_training_step_has_a_pull_for_each_map():
    names = [cost.name for cost in training("ckn5", 2)]
    assert (names.count("map"), names.count("map_vjp"), names.count("add_squares")) == (5, 5, 4)


def test_the_slower_of_memory_and_arithmetic_counts():
    card = Card("a card", bandwidth=10.0, float32=100.0, tf32=1000.0)
    # 40 bytes
    product = Cost("product", 5, 5, 800, product=True)
    assert card.seconds(product) == 8
    assert card.seconds(product, tf32=True) == 4
    assert not card.is_memory_bound(product)
    assert card.is_memory_bound(Cost("copy", 5, 5, 399))
    other = Cost("other", 5, 5, 800)
    assert card.seconds(other, tf32=True) == 8
    assert card.total([product, other], tf32=True) == 12
    assert Card("another", 10.0, 100.0, None).seconds(product, tf32=True) == 8


def test_cards_have_plausible_rates():
    for card in CARDS.values():
        assert 1e11 < card.bandwidth < 1e13
        assert 1e12 < card.float32 <= (card.tf32 or 1e15) < 1e16
