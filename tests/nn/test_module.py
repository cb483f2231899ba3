import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import BackendError, ConfigError, DataError, DTypeError
from tinygrad_ckn.nn import Linear, Module, Parameter, ReLU, Sequential, Sphere


class Leaf(Module):
    def __init__(self, size: int) -> None:
        self.weight = Parameter(np.arange(size, dtype=np.float32))

    def forward(self, x: Any) -> Any:
        return x * self.weight


class Nested(Module):
    """Every kind of attribute that holds tensors, and others that do not."""

    def __init__(self) -> None:
        self.name = "nested"
        self.nothing = None
        self.array = np.ones(3)
        self.scale = Parameter([2.0])
        self.mean = Tensor([0.0, 1.0])
        self.blocks = [Leaf(1), {"left": Leaf(2), "right": (Leaf(3), Parameter([5.0]))}]
        self.by_size = {8: Parameter([8.0])}
        self.again = self.blocks[0]
        self.alias = self.scale
        self.parent_like = {"self": self}

    def forward(self, x: Any, *, shift: float = 0.0) -> Any:
        return x * self.scale + shift


NAMES = [
    "scale",
    "mean",
    "blocks.0.weight",
    "blocks.1.left.weight",
    "blocks.1.right.0.weight",
    "blocks.1.right.1",
    "by_size.8",
]


def values(module: Module) -> dict[str, list[float]]:
    return {name: tensor.tolist() for name, tensor in module.named_tensors()}


def test_each_tensor_is_found_once_in_order() -> None:
    module = Nested()
    assert [name for name, _ in module.named_tensors()] == NAMES
    assert [name for name, _ in module.named_parameters()] == [
        name for name in NAMES if name != "mean"
    ]
    assert [id(p) for p in module.parameters()] == [id(p) for _, p in module.named_parameters()]
    assert [type(m).__name__ for m in module.modules()] == ["Nested", "Leaf", "Leaf", "Leaf"]
    assert next(module.modules()) is module


def test_calling_runs_forward() -> None:
    assert Nested()(Tensor([3.0]), shift=1.0).item() == 7


def test_a_module_without_forward_cannot_be_made() -> None:
    class Incomplete(Module):
        pass

    with pytest.raises(TypeError, match="forward"):
        Incomplete()  # type: ignore[abstract]


def test_state_dict_copies() -> None:
    module = Nested()
    state = module.state_dict()
    assert list(state) == NAMES
    assert all(type(array) is np.ndarray for array in state.values())
    state["scale"][0] = 9
    assert module.scale.item() == 2


def test_loading_restores_values_and_dtypes_and_copies() -> None:
    module, other = Nested(), Nested()
    for tensor in other._state().values():
        tensor.data = tensor.data + 1
    state = other.state_dict()
    module.load_state_dict(state)
    assert values(module) == values(other)
    state["scale"][0] = 9
    assert module.scale.item() == 3
    # Tensors are accepted as well.
    module.load_state_dict(dict(other.named_tensors()))
    assert module.blocks[0].weight.dtype == np.float32


def test_loading_invalidates_earlier_graphs() -> None:
    module = Leaf(2)
    y = module(Tensor(np.ones(2, np.float32), requires_grad=True)).sum()
    module.load_state_dict(module.state_dict())
    with pytest.raises(RuntimeError, match="data assigned since"):
        y.backward()


def test_strict_loading_lists_everything_wrong_and_changes_nothing() -> None:
    module = Nested()
    before = values(module)
    state = {name: array + 1 for name, array in module.state_dict().items()}
    del state["mean"], state["by_size.8"]
    state["scale"] = np.ones((2, 1))
    state["blocks.0.weight"] = np.ones(1)
    state["extra"] = np.ones(1)
    with pytest.raises(DataError) as caught:
        module.load_state_dict(state)
    assert str(caught.value) == (
        "Nested.load_state_dict: argument state expected what Nested.state_dict() returns, "
        "got missing 'mean', 'by_size.8'; unexpected 'extra'; "
        "wrong shape or dtype 'scale' (float64 (2, 1), not float64 (1,)), "
        "'blocks.0.weight' (float64 (1,), not float32 (1,)); "
        "build the object as it was when saved (nothing was loaded)"
    )
    assert values(module) == before
    with pytest.raises(DataError, match="got wrong shape or dtype 'scale'"):
        module.load_state_dict(state, strict=False)
    assert values(module) == before


@pytest.mark.parametrize("state", ["sd.npz", None, [1.0]])
def test_a_state_that_is_not_a_mapping_is_rejected(state: object) -> None:
    message = (
        "^Nested.load_state_dict: argument state expected a mapping .*, "
        f"got {type(state).__name__}; open a file"
    )
    for strict in (True, False):
        with pytest.raises(DTypeError, match=message):
            Nested().load_state_dict(state, strict=strict)


def test_an_open_archive_is_a_mapping(tmp_path: Path) -> None:
    module = Nested()
    np.savez(
        tmp_path / "sd.npz", **{name: array + 1 for name, array in module.state_dict().items()}
    )
    with np.load(tmp_path / "sd.npz") as state:
        module.load_state_dict(state)
    np.testing.assert_array_equal(module.state_dict()["mean"], Nested().state_dict()["mean"] + 1)


def test_loading_without_strict_ignores_other_names() -> None:
    module = Nested()
    module.load_state_dict({"mean": np.array([5.0, 6.0]), "extra": np.ones(1)}, strict=False)
    assert module.mean.tolist() == [5, 6]
    assert module.scale.item() == 2


def test_two_tensors_with_one_name_are_rejected() -> None:
    class Clash(Leaf):
        def __init__(self) -> None:
            self.parts = {"a.b": Tensor([1.0]), "a": {"b": Tensor([2.0])}}

    with pytest.raises(
        ConfigError, match=r"Clash: expected a name of its own .* two named 'parts.a.b'"
    ):
        Clash().state_dict()


def test_train_and_eval_reach_every_module() -> None:
    module = Nested()
    assert all(m.training for m in module.modules())
    assert module.eval() is module
    assert not any(m.training for m in module.modules())
    assert module.train() is module
    assert all(m.training for m in module.modules())


def test_zero_grad_reaches_every_tensor() -> None:
    module = Leaf(2)
    module.offset = Tensor([1.0, 1.0], requires_grad=True)  # type: ignore[attr-defined]
    (module(module.offset) * 1.0).sum().backward()  # type: ignore[attr-defined]
    assert module.weight.grad is not None
    module.zero_grad()
    assert all(tensor.grad is None for _, tensor in module.named_tensors())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_share_nothing_with_the_original_but_keep_what_is_shared_within(duplicate) -> None:
    module = Nested()
    twin = duplicate(module)
    assert values(twin) == values(module)
    assert twin.alias is twin.scale
    assert twin.again is twin.blocks[0]
    twin.scale.data -= 1.0
    assert module.scale.item() == 2
    assert type(twin.scale) is Parameter


def test_deepcopy_keeps_constraints() -> None:
    module = Leaf(1)
    module.weight = Parameter([[1.0, 0.0]], constraint=Sphere())
    assert copy.deepcopy(module).weight.constraint == Sphere()


def test_to_moves_everything_in_place_and_back(other_device: str) -> None:
    module = Leaf(3)
    module.buffer = Tensor([1, 2])  # type: ignore[attr-defined]
    weight = module.weight
    y = module(Tensor(np.ones(3, np.float32), requires_grad=True)).sum()
    y.backward(retain_graph=True)
    assert module.to(other_device) is module
    assert module.weight is weight
    assert [tensor.device for _, tensor in module.named_tensors()] == ["other", "other"]
    assert weight.grad is not None
    assert weight.grad.device == "other"
    assert weight.grad.tolist() == [1, 1, 1]
    assert type(module.state_dict()["weight"]) is np.ndarray
    with pytest.raises(RuntimeError, match="data assigned since"):
        y.backward()
    module.load_state_dict({"weight": np.ones(3, np.float32), "buffer": np.array([3, 4])})
    assert weight.device == "other"
    module.to("cpu")
    assert values(module) == {"weight": [1, 1, 1], "buffer": [3, 4]}
    assert weight.device == weight.grad.device == "cpu"


def test_to_the_same_device_keeps_the_arrays_and_unknown_devices_are_rejected() -> None:
    module = Leaf(3)
    data = module.weight.data
    assert module.to("cpu").weight.data is data
    with pytest.raises(BackendError, match="expected 'cpu' or 'cuda'"):
        module.to("tpu")
    assert module.weight.data is data
    with pytest.raises(BackendError, match="expected 'cpu' or 'cuda'"):
        ReLU().to("tpu")


def test_repr_of_a_tree() -> None:
    shared = Linear(64, 64, rng=0)
    net = Sequential(Sequential(shared, ReLU()), shared, Linear(64, 10, rng=0, bias=False))
    assert repr(net) == (
        "Sequential (4,800 parameters)\n"
        "  0: Sequential (4,160 parameters)\n"
        "    0: Linear(64 -> 64)  weight (64, 64) bias (64,)  4,160\n"
        "    1: ReLU\n"
        "  1: Linear(64 -> 64)  shared\n"
        "  2: Linear(64 -> 10)  weight (10, 64)  640"
    )


def test_repr_shows_buffers_and_tensors_next_to_modules() -> None:
    class Mixed(Leaf):
        def __init__(self) -> None:
            self.scale = self.alias = Parameter([1.0])
            self.mean = Tensor([0.0, 0.0])
            self.tail = [Stateless()]

        def extra_repr(self) -> str:
            return "eps=0.1"

    class Stateless(ReLU):
        def __init__(self) -> None:
            self.mask = Tensor([True])

    assert repr(Mixed()) == (
        "Mixed(eps=0.1) (1 parameter)  scale (1,) alias (1,) mean (2,) buffer  1\n"
        "  tail.0: Stateless  mask (1,) buffer"
    )
    assert repr(ReLU()) == "ReLU"
