import ast
from pathlib import Path

from tinygrad_ckn import Tensor, tensor_operators


def stubs():
    """Return the names declared for type checkers."""
    (made,) = (
        node
        for node in ast.parse(Path(tensor_operators.__file__).read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    (block,) = (node for node in made.body if isinstance(node, ast.If))
    return {n.name if isinstance(n, ast.FunctionDef) else n.target.id for n in block.body}


def test_every_operator_declared_is_attached():
    assert stubs() <= vars(Tensor).keys()


def test_tensors_have_no_dictionary():
    assert not hasattr(Tensor([1.0]), "__dict__")
