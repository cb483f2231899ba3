from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tinygrad_ckn import Tensor, nn
from tinygrad_ckn.errors import DataError, DTypeError


def net(seed: int = 0, width: int = 3, dtype: str = "float32") -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(2, width, rng=seed, dtype=dtype), nn.BatchNorm1d(width, dtype=dtype)
    )


def test_a_module_comes_back_with_its_buffers(tmp_path: Path) -> None:
    one, other = net(0), net(1)
    one(Tensor(np.random.default_rng(0).normal(size=(5, 2)).astype("float32")))
    nn.save(one, tmp_path / "net.safetensors")
    assert nn.load(other, tmp_path / "net.safetensors") is other
    for name, array in one.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)
    # for other programs
    assert load_file(tmp_path / "net.safetensors").keys() == one.state_dict().keys()


def test_transposed_weights_are_written_in_their_order(tmp_path: Path) -> None:
    layer = nn.Linear(2, 3, rng=0)
    layer.weight.set_data(np.asfortranarray(layer.weight.data))
    nn.save(layer, tmp_path / "layer")
    np.testing.assert_array_equal(load_file(tmp_path / "layer")["weight"], layer.weight.numpy())


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (net(width=4), r"wrong shape or dtype '0.weight' \(float32 \(3, 2\), not float32 \(4, 2\)"),
        (net(dtype="float64"), r"'1.running_var' \(float32 \(3,\), not float64 \(3,\)\)"),
        (nn.Sequential(nn.Linear(2, 3)), "unexpected '1.bias', '1.running_mean'"),
        (nn.Sequential(*net().layers, nn.Linear(3, 1)), "missing '2.weight', '2.bias'"),
    ],
)
def test_a_file_of_another_module_is_refused_whole(
    tmp_path: Path, module: nn.Module, message: str
) -> None:
    nn.save(net(7), tmp_path / "net.safetensors")
    before = module.state_dict()
    with pytest.raises(DataError, match=message) as raised:
        nn.load(module, tmp_path / "net.safetensors")
    assert str(raised.value).startswith(f"{tmp_path}/net.safetensors: Sequential.load_state_dict")
    for name, array in module.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_without_strict_the_common_names_are_loaded(tmp_path: Path) -> None:
    nn.save(net(7), tmp_path / "net")
    module = nn.load(nn.Sequential(nn.Linear(2, 3, rng=0)), tmp_path / "net", strict=False)
    np.testing.assert_array_equal(module.state_dict()["0.weight"], net(7).state_dict()["0.weight"])


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "net"
    with pytest.raises(DataError, match=r"expected a file saved by nn\.save, got nothing"):
        nn.load(net(), path)
    with pytest.raises(DataError, match=r"expected a file saved by nn\.save, got a folder"):
        nn.load(net(), tmp_path)
    nn.save(net(), path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match="expected a whole safetensors file"):
        nn.load(net(), path)
    with pytest.raises(DataError, match="create it first"):
        nn.save(net(), tmp_path / "nowhere" / "net")
    with pytest.raises(DTypeError, match=r"nn\.save: argument module expected a Module, got Param"):
        nn.save(net().layers[0].weight, path)  # type: ignore[attr-defined]


def test_types_that_numpy_lacks_are_named(tmp_path: Path) -> None:
    save_file({"x": np.zeros(2, np.float16)}, tmp_path / "x")
    content = (tmp_path / "x").read_bytes().replace(b'"F16"', b'"BF16"')
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size].rstrip()
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + content[-4:])
    with pytest.raises(DataError, match="with NumPy's types"):
        nn.load(net(), tmp_path / "x")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nn.save(net(7), tmp_path / "net")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        nn.save(net(8), tmp_path / "net")
    monkeypatch.undo()
    loaded = nn.load(net(), tmp_path / "net").state_dict()["0.weight"]
    np.testing.assert_array_equal(loaded, net(7).state_dict()["0.weight"])
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
