import numpy as np


def test_known_sets_are_listed_with_their_files(invoke):
    result = invoke("data")
    assert result.exit_code == 0
    assert "https://www.cs.toronto.edu/~kriz/cifar.html" in result.stdout
    assert "c32a1d4ab5d03f1284b67883e8d87530" in result.stdout
    assert "use   --data stl10 --data-dir DIR" in " ".join(result.stdout.splitlines())
    assert "digits: UCI handwritten digits, 1,437 training and 360 test" in result.stdout


def test_a_file_is_described(invoke, tmp_path):
    images = np.arange(10 * 64, dtype=np.uint16).reshape(10, 8, 8) % 256
    np.savez(tmp_path / "scans.npz", images=images, labels=list("ab") * 5)
    result = invoke("data", str(tmp_path / "scans.npz"))
    assert result.exit_code == 0
    text = result.stdout
    assert "1x8x8, integers, divided by 255: 0 to 1" in text
    assert "2: a, b" in text


def test_another_file_is_an_error_in_one_sentence(invoke, tmp_path):
    result = invoke("data", str(tmp_path / "none"))
    assert result.exit_code == 1
    assert "got none of these" in " ".join(result.stderr.split())
