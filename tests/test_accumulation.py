import numpy as np

from tinygrad_ckn import Tensor
from tinygrad_ckn.accumulation import Gradients, RecordedGradients


def test_a_leaf_gets_memory_of_its_own_and_sums_in_place():
    leaf = Tensor([0.0, 0.0], requires_grad=True)
    g = np.ones(2)
    gradients = Gradients(())
    gradients.add(leaf, g, g, None)
    gradients.add(leaf, g, g, None)
    buffer = gradients.remaining()[leaf]
    gradients.add(leaf, g, g, None)
    assert gradients.remaining()[leaf] is buffer
    assert (g.tolist(), buffer.tolist()) == ([1, 1], [3, 3])


def test_a_saved_array_is_copied_for_a_leaf_but_not_for_a_node():
    leaf = Tensor([0.0, 0.0], requires_grad=True)
    node = (leaf * 2.0)._node
    g, saved = np.ones(2), np.ones(2)
    gradients = Gradients(())
    gradients.add(leaf, saved, g, [saved])
    gradients.add(node, saved, g, [saved])
    assert gradients.remaining()[leaf] is not saved
    assert gradients.pop(node) is saved
    assert gradients.pop(node) is None


def test_recorded_sums_have_a_graph():
    leaf = Tensor([0.0, 0.0], requires_grad=True)
    g = Tensor([1.0, 1.0], requires_grad=True)
    gradients = RecordedGradients(())
    gradients.add(leaf, g, g, None)
    gradients.add(leaf, g, g, None)
    assert gradients.remaining()[leaf]._node.name == "add"
