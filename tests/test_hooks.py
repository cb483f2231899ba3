import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.hooks import HOOKS, call_hooked


@pytest.fixture
def hook():
    seen = []

    def add(name):
        def record(operation, direction, call):
            seen.append((name, operation, direction))
            return call()

        HOOKS.append(record)

    yield add, seen
    HOOKS.clear()


def test_hooks_are_called_around_forwards_and_rules(hook):
    add, seen = hook
    add("a")
    (Tensor([2.0], requires_grad=True) * 3.0).sum().backward()
    directions = [(operation, direction) for _, operation, direction in seen]
    assert directions[:3] == [("multiply", "forward"), ("sum", "forward"), ("sum", "backward")]
    assert ("multiply", "backward") in directions


def test_the_last_hook_is_outermost(hook):
    add, seen = hook
    add("inner")
    add("outer")
    assert call_hooked("f", "forward", lambda x: x + 1, 1) == 2
    assert [name for name, *_ in seen] == ["outer", "inner"]
