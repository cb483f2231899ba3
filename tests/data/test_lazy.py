"""Images of files read in blocks: the same pixels, errors and models as in memory."""

import gzip
import struct
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tinygrad_ckn import block_sums, lazy_images
from tinygrad_ckn.data import DataFormat, Split, cifar, load, load_idx, load_images, split_off
from tinygrad_ckn.data.arrays import as_images
from tinygrad_ckn.data.reading import Reading, byte_count
from tinygrad_ckn.errors import CKNError, ConfigError, DataError, DataWarning
from tinygrad_ckn.lazy_images import LazyImages, is_lazy
from tinygrad_ckn.models import CKN, CKNLayer, FineTuning, batched
from tinygrad_ckn.models.preprocessing import Chain, base
from tinygrad_ckn.stored_rows import StoredRows


def lazy(array: np.ndarray, memory: int = 1) -> LazyImages:
    rows = StoredRows.temporary(array.shape, array.dtype, "a test")
    rows[:] = array
    return LazyImages(rows, memory)


def outcome(function: Callable[[], object]) -> object:
    """Return the result of a call with the warnings, or the sentence of its error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function()
        except CKNError as error:
            return str(error)
    return result, [str(warning.message) for warning in caught]


def idx(path: Path, array: np.ndarray) -> bytes:
    code = {"u1": 8, "i2": 11, "f4": 13}[array.dtype.str[1:]]
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    content = header + array.astype(array.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return content


SHAPES = [(6, 4, 4), (6, 3, 4, 4), (6, 4, 4, 3), (30, 16), (6, 7, 16, 16)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.sampled_from(SHAPES),
    dtype=st.sampled_from(["u1", "i2", "f4", "f8", "bool"]),
    top=st.sampled_from([1, 2, 255, 256]),
    channels_last=st.sampled_from([None, True, False]),
    scale=st.sampled_from([None, 2.0]),
    broken=st.booleans(),
    trained=st.sampled_from([None, "u1", "f4"]),
    known=st.sampled_from([None, (4, 4), (3, 4, 4), (6, 4, 4), (30, 16)]),
)
def test_pixels_format_and_sentences_are_those_of_arrays(
    shape: tuple[int, ...],
    dtype: str,
    top: int,
    channels_last: bool | None,
    scale: float | None,
    broken: bool,
    trained: str | None,
    known: tuple[int, ...] | None,
) -> None:
    array = np.random.default_rng(0).integers(0, top + 1, shape)
    if broken and dtype in ("f4", "f8"):
        array = array.astype("f8")
        array[3, 1] = np.nan
    array = (array % 256 if dtype == "u1" else array).astype(dtype)
    like = None
    if trained is not None:
        seen = np.random.default_rng(1).integers(0, 256, (9, 1, 4, 4)).astype(trained)
        like = as_images(seen, "training", Reading())[1]
    reading = Reading.of(known, channels_last, None, scale, like)
    expected = outcome(lambda: as_images(array, "file", reading))
    found = outcome(lambda: as_images(lazy(array), "file", reading))
    if isinstance(expected, str):
        assert found == expected
        return
    (images, data_format), said = expected
    (read, same), also = found
    # A single image is read.
    assert is_lazy(read) is (len(images) > 1)
    assert (same, also) == (data_format, said)
    np.testing.assert_array_equal(read[:], images)
    assert read[:].flags.c_contiguous
    assert read.dtype == np.float32


def test_a_pixel_that_is_not_finite_is_named_wherever_it_is_read() -> None:
    array = np.zeros((9, 1, 2, 2), "float32")
    array[7, 0, 1, 0] = np.inf
    with pytest.raises(DataError, match=r"got inf at index \(7, 0, 1, 0\)"):
        as_images(lazy(array), "file", Reading())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for part, n in (("train", 60), ("t10k", 20)):
        labels = np.arange(n) % 3
        images = random.integers(0, 40, (n, 8, 8)) + 100 * (labels == 1)[:, None, None]
        images[:, :4] += 100 * (labels == 2)[:, None, None]
        idx(tmp_path / f"{part}-images-idx3-ubyte", images.astype("u1"))
        idx(tmp_path / f"{part}-labels-idx1-ubyte", labels.astype("u1"))
    return tmp_path


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_are_read_in_blocks(folder: Path, zipped: bool) -> None:
    if zipped:
        path = folder / "train-images-idx3-ubyte"
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    whole, blocks = load(folder), load_idx(folder, memory=60 * 64 * 4 - 1)
    assert is_lazy(blocks.train.images)
    # The test part is smaller, and fits.
    assert not is_lazy(blocks.test.images)
    np.testing.assert_array_equal(blocks.train.images[:], whole.train.images)
    assert blocks.data_format == whole.data_format
    # Both parts fit, but not together.
    with pytest.warns(DataWarning, match=r"at most 15,360 bytes of memory, got 20,480 in parts"):
        assert not is_lazy(load(folder, memory=60 * 64 * 4).train.images)


@pytest.mark.parametrize("name", ["mnist", "kmnist", "fashion-mnist", "cifar10"])
def test_published_sets_are_read_in_blocks_too(folder: Path, name: str) -> None:
    for part in (*cifar.TRAIN_FILES, *cifar.TEST_FILES) if name == "cifar10" else ():
        (folder / part).write_bytes(bytes(2 * 3073))
    if name.endswith("mnist"):
        # Their classes have names, ten of them.
        for part, n in (("train", 60), ("t10k", 20)):
            idx(folder / f"{part}-labels-idx1-ubyte", (np.arange(n) % 10).astype("u1"))
    assert is_lazy(load(name, data_dir=folder, memory="1B").train.images)
    assert not is_lazy(load(name, data_dir=folder).train.images)


@pytest.mark.parametrize("name", ["a-ubyte", "a-ubyte.gz"])
@pytest.mark.parametrize("change", [b"more", b""])
def test_an_idx_file_of_another_length_is_refused_as_in_memory(
    name: str, change: bytes, tmp_path: Path
) -> None:
    path = tmp_path / name
    content = idx(path, np.zeros((9, 3, 3), "u1"))
    content = content + change if change else content[:-5]
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    expected = outcome(lambda: load_images(path))
    assert isinstance(expected, str)
    assert outcome(lambda: load_images(path, memory="1B")) == expected


@pytest.mark.parametrize("fortran", [False, True])
def test_npy_files_are_read_in_blocks(fortran: bool, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (9, 5, 5)).astype("u1")
    np.save(tmp_path / "a.npy", np.asfortranarray(array) if fortran else array)
    # Rows in Fortran order are nowhere together.
    warning = pytest.warns(DataWarning, match=r"at most 1 bytes of memory, got 900 in parts that")
    with warning if fortran else nullcontext():
        images = load_images(tmp_path / "a.npy", memory="1B")
    assert is_lazy(images) is not fortran
    np.testing.assert_array_equal(images[:], load_images(tmp_path / "a.npy"))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    expected = outcome(lambda: load_images(tmp_path / "a.npy"))
    assert outcome(lambda: load_images(tmp_path / "a.npy", memory="1B")) == expected


def test_cifar_files_are_read_in_blocks(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in (*cifar.TRAIN_FILES, *cifar.TEST_FILES):
        records = random.integers(0, 10, (4, 3073)).astype("u1")
        records[:, 1:] += 100
        (tmp_path / name).write_bytes(records.tobytes())
    whole, blocks = load(tmp_path), load(tmp_path, memory="1B")
    assert is_lazy(blocks.train.images)
    chosen = np.array([19, 0, 7, 8])
    np.testing.assert_array_equal(blocks.train.images[chosen], whole.train.images[chosen])
    np.testing.assert_array_equal(blocks.test.images[:], whole.test.images)
    np.testing.assert_array_equal(blocks.train.labels, whole.train.labels)
    assert blocks.data_format == whole.data_format


def test_pictures_are_decoded_in_blocks(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for i in range(8):
            pixels = random.integers(0, 256, (5, 6, 3)).astype("u1")
            Image.fromarray(pixels).save(tmp_path / label / f"{i}.png")
    whole, blocks = load(tmp_path), load(tmp_path, memory="1B")
    assert is_lazy(blocks.train.images)
    for part in ("train", "test"):
        expected, found = getattr(whole, part), getattr(blocks, part)
        np.testing.assert_array_equal(found.images[:], expected.images)
        np.testing.assert_array_equal(found.labels, expected.labels)
    assert blocks.data_format == whole.data_format
    images = load_images(tmp_path / "cat", memory="1B")
    assert is_lazy(images)
    np.testing.assert_array_equal(images[:], load_images(tmp_path / "cat"))


def test_a_split_takes_lazy_images_without_reading_them() -> None:
    array = np.random.default_rng(0).random((40, 1, 4, 4)).astype("float32")
    labels = np.arange(40) % 4
    rest, held_out = split_off(Split(array, labels), 0.25, np.random.default_rng(0))
    found = split_off(Split(lazy(array), labels), 0.25, np.random.default_rng(0))
    for expected, part in zip((rest, held_out), found, strict=True):
        assert is_lazy(part.images)
        np.testing.assert_array_equal(part.images[:], expected.images)
        np.testing.assert_array_equal(part.labels, expected.labels)
    with pytest.raises(DataError, match="expected images of dtype float32, C-contiguous, got"):
        Split(lazy(array.astype("f8")), labels)


def model(preprocessing: object = None) -> CKN:
    layers = [
        CKNLayer(1, 4, 3, subsampling=2, rng=0),
        CKNLayer(4, 6, 3, subsampling=2, rng=1),
    ]
    return CKN(1, 8, 3, layers, preprocessing=preprocessing, mirror_average="scores", rng=2)


@pytest.mark.parametrize(
    "preprocessing", [None, "local_whitening", ["standardize", "patch_zca"]], ids=str
)
def test_training_gives_the_same_bits_as_in_memory(folder: Path, preprocessing: object) -> None:
    descent = FineTuning(epochs=1, batch_size=16, refit_classifier_every=1)
    results = []
    for memory in (None, "1 B"):
        dataset = load(folder, memory=memory)
        network = model(preprocessing)
        network.fit(
            dataset.train.images,
            dataset.train.labels,
            descent=descent,
            n_patches=500,
            iterations=3,
            data_format=dataset.data_format,
            rng=0,
        )
        test = dataset.test
        results.append((network, test))
    (expected, whole), (found, blocks) = results
    assert is_lazy(blocks.images)
    assert found.data_format == expected.data_format
    for name, value in expected.state_dict().items():
        np.testing.assert_array_equal(found.state_dict()[name], value, err_msg=name)
    for method in ("encode", "scores", "predict", "predict_proba"):
        np.testing.assert_array_equal(
            getattr(found, method)(blocks.images), getattr(expected, method)(whole.images)
        )
    assert found.accuracy(blocks.images, blocks.labels) == expected.accuracy(
        whole.images, whole.labels
    )


def test_a_chain_of_preprocessors_is_fitted_and_applied_in_blocks() -> None:
    array = np.random.default_rng(0).random((50, 1, 8, 8)).astype("float32")
    expected, found = Chain(["standardize", "patch_zca"]), Chain(["standardize", "patch_zca"])
    expected.fit(array)
    found.fit(lazy(array))
    y = found(lazy(array))
    assert is_lazy(y)
    np.testing.assert_array_equal(y[:], expected(array))


@pytest.mark.parametrize("descent", [None, FineTuning(epochs=1, validation=0.5)])
def test_no_step_of_a_training_reads_all_images(
    descent: FineTuning | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy_images, "_BLOCK_BYTES", 2**13)
    monkeypatch.setattr(block_sums, "_BLOCK_BYTES", 2**17)
    monkeypatch.setattr(base, "_BLOCK", 2**12)
    monkeypatch.setattr(batched.image_blocks, "__defaults__", (2**13,))
    sizes = []
    through = StoredRows.read

    def noting(rows: StoredRows, indices: np.ndarray) -> np.ndarray:
        if rows.ndim == 4:
            sizes.append(len(indices))
        return through(rows, indices)

    n = 600
    images = lazy(np.random.default_rng(0).random((n, 1, 8, 8)).astype("float32"))
    monkeypatch.setattr(StoredRows, "read", noting)
    network = model(["standardize", "patch_zca"])
    network.fit(images, np.arange(n) % 2, descent=descent, n_patches=500, iterations=1, rng=0)
    network.predict(images)
    assert len(sizes) > 50
    assert max(sizes) <= 256


@pytest.mark.parametrize(
    ("text", "count"),
    [(1, 1), ("7", 7), ("2GiB", 2**31), ("0.5 MB", 500_000), ("3k", 3000), ("1 TiB", 2**40)],
)
def test_sizes(text: int | str, count: int) -> None:
    assert byte_count("load", text) == count


@pytest.mark.parametrize("text", [0, -1, "0.1", "two", "2 iB", "2 GiBs", ""])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ConfigError, match="argument memory expected a number of bytes such as"):
        load("digits", memory=text)


def test_the_format_of_lazy_images_is_that_of_an_array() -> None:
    array = np.random.default_rng(0).random((9, 1, 4, 4)).astype("float32")
    assert DataFormat.of_arrays(lazy(array)) == DataFormat.of_arrays(array)
