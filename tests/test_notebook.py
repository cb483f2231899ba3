import numpy as np
import pytest

from tinygrad_ckn import Tensor, nn
from tinygrad_ckn.models import build
from tinygrad_ckn.notebook import html_table


def test_texts_are_escaped_and_numbers_readable():
    table = html_table("<caption>", ["<b>"], [["<script>", 1234]], "<note>")
    assert "<script>" not in table and "<b>" not in table and "<note>" not in table
    assert "&lt;script&gt;" in table
    assert "1,234" in table


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [
        ((), 1, 1),
        ((3,), 1, 3),
        ((3, 2), 3, 2),
        ((30, 40), 11, 11),
        ((4, 3, 2), 3, 2),
        ((0, 2), 1, 1),
    ],
)
def test_a_tensor_is_a_small_table(shape: tuple[int, ...], rows: int, columns: int):
    table = Tensor(np.ones(shape))._repr_html_()
    assert f"shape {shape}, float64, cpu" in table
    assert table.count("<tr>") == rows
    assert table.count("<td>") == rows * columns
    assert ("The first of 4 matrices." in table) == (shape == (4, 3, 2))


def test_a_tensor_tells_its_gradient():
    x = Tensor([1.0], requires_grad=True)
    assert "requires grad, no gradient yet" in x._repr_html_()
    y = (x * x).sum()
    assert "made by sum" in y._repr_html_()
    y.backward()
    assert "requires grad, has a gradient" in x._repr_html_()


def test_a_module_lists_its_parameters():
    table = nn.Linear(3, 2, rng=0)._repr_html_()
    assert "8 parameters" in table
    assert "<td>weight</td><td>(2, 3)</td>" in table


def test_a_network_is_a_table():
    model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10)
    table = model._repr_html_()
    assert "<td>layers.0.weight</td>" in table
    assert f"{sum(p.size for p in model.parameters()):,} parameters" in table
