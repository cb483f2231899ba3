"""What tests of the checkers share: primitives with planted rules."""

import pytest

from tinygrad_ckn.primitive import REGISTRY, primitive


@pytest.fixture
def op():
    """Return a maker of primitives with given rules, which are forgotten after the test."""
    made = []

    def make(forward, *, broadcasts=False, **rules):
        result = primitive(name=f"planted_{len(made)}", broadcasts=broadcasts)(forward)
        made.append(result.name)
        result.vjp(**rules)
        return result

    yield make
    for name in made:
        del REGISTRY[name]
