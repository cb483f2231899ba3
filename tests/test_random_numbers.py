"""Random numbers come from the generator that is passed, else from the package's.

The package's generator goes on from call to call.
"""

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tinygrad_ckn
from tinygrad_ckn import Tensor, manual_seed, models, nn, ops, optim
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import CKN, CNN, CKNLayer, ConvLayer, build, from_config
from tinygrad_ckn.nn import init
from tinygrad_ckn.random_numbers import default_rng
from tinygrad_ckn.training import load_model, save_model

x = np.random.default_rng(0).random((60, 1, 6, 6), dtype="float32")
y = np.arange(60) % 2


def small():
    return CKN(1, 6, 2, [CKNLayer(1, 4, 3, subsampling=2)])


def fitted(**options):
    model = CKN(1, 6, 2, [CKNLayer(1, 4, 3, subsampling=2, rng=0)], rng=0)
    return model.fit(x, y, n_patches=200, iterations=2, **options).layers[0].weight.data


MAKERS = {
    "Linear": lambda **k: nn.Linear(3, 3, **k).weight.data,
    "Conv2d": lambda **k: nn.Conv2d(2, 3, 3, **k).weight.data,
    "CKNLayer": lambda **k: CKNLayer(1, 4, 3, **k).weight.data,
    "ConvLayer": lambda **k: ConvLayer(1, 4, 3, **k).weight.data,
    "CKN": lambda **k: CKN(1, 6, 2, [CKNLayer(1, 4, 3, rng=0)], **k).classifier.weight.data,
    "CNN": lambda **k: CNN(1, 6, 2, [ConvLayer(1, 4, 3, rng=0)], **k).classifier.weight.data,
    "build": lambda **k: (
        build("lenet", in_channels=1, image_size=8, n_classes=2, **k).layers[0].weight.data
    ),
    "preset": lambda **k: (
        CKN.preset("unsup-32-64", in_channels=1, image_size=8, n_classes=2, **k)
        .layers[0]
        .weight.data
    ),
    "from_config": lambda **k: from_config(CONFIG, **k).layers[0].weight.data,
    "sample_patches": lambda **k: models.sample_patches(x, CKNLayer(1, 4, 3, rng=0), 50, **k),
    "spherical_kmeans": lambda **k: np.asarray(
        models.spherical_kmeans(
            np.random.default_rng(0).random((200, 9)), 4, iterations=1, **k
        ).centroids
    ),
    "fit": fitted,
    **{
        f"init.{name}": lambda name=name, rng=None: getattr(init, name)((3, 4), rng=rng)
        for name in (
            "uniform",
            "normal",
            "kaiming_uniform",
            "kaiming_normal",
            "xavier_uniform",
            "orthogonal",
            "sphere",
        )
    },
}
CONFIG = small().config()
each = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@each
def test_two_calls_without_a_seed_differ_and_the_same_program_gives_the_same(make):
    manual_seed(3)
    first, second = make(), make()
    manual_seed(3)
    again = make(), make()
    assert not np.array_equal(first, second)
    assert np.array_equal(first, again[0])
    assert np.array_equal(second, again[1])
    manual_seed(4)
    assert not np.array_equal(make(), first)


@each
def test_an_explicit_seed_neither_reads_nor_moves_the_package_generator(make):
    manual_seed(3)
    expected, before = make(), make(rng=0)
    manual_seed(3)
    assert np.array_equal(make(rng=0), before)
    assert np.array_equal(make(), expected)


def test_a_process_begins_with_seed_0():
    code = "from tinygrad_ckn import nn{}; print(nn.Linear(3, 3).weight.tolist())"
    environment = {**os.environ, "PYTHONPATH": str(Path(tinygrad_ckn.__file__).parent.parent)}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code.format(more)],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        ).stdout
        for more in ("", ", manual_seed; manual_seed(0)")
    ]
    assert outputs[0] == outputs[1]


def test_all_layers_of_one_shape_differ():
    manual_seed(0)
    weights = [nn.Linear(3, 2).weight.data for _ in range(5)] + [nn.Linear(3, 2, rng=0).weight.data]
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(weights, 2))


def test_factors_that_enter_alike_learn_to_differ():
    manual_seed(0)
    inputs = np.random.default_rng(0).normal(size=(256, 2))
    target = Tensor(inputs[:, :1] * inputs[:, 1:])
    a, b = nn.Linear(2, 1, dtype="float64"), nn.Linear(2, 1, dtype="float64")
    optimizer = optim.Adam([*a.parameters(), *b.parameters()], lr=0.05)
    for _ in range(400):
        loss = ops.mse(a(Tensor(inputs)) * b(Tensor(inputs)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3


def test_the_same_seed_gives_the_same_numbers_in_any_thread():
    manual_seed(7)
    expected = nn.Linear(3, 3).weight.data
    found = []

    def work():
        manual_seed(7)
        found.append(nn.Linear(3, 3).weight.data)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert np.array_equal(found[0], expected)


def test_threads_never_get_the_same_generator():
    manual_seed(0)
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.extend(default_rng().integers(2**63) for _ in range(200))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 800


def test_reading_a_model_does_not_move_the_package_generator(tmp_path):
    save_model(small(), tmp_path / "m.safetensors")
    manual_seed(1)
    expected = nn.Linear(2, 2).weight.data
    manual_seed(1)
    load_model(tmp_path / "m.safetensors")
    assert np.array_equal(nn.Linear(2, 2).weight.data, expected)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", None, True])
def test_a_bad_seed_gets_a_sentence(seed):
    with pytest.raises(
        ConfigError, match="manual_seed: argument seed expected an integer >= 0, got"
    ):
        manual_seed(seed)


@pytest.mark.parametrize("seed", [-1, 1.5, "a"])
def test_a_bad_rng_gets_a_sentence(seed):
    with pytest.raises(
        ConfigError,
        match=r"argument rng expected a seed >= 0, a numpy.random.Generator or None, got",
    ):
        nn.Linear(2, 2, rng=seed)


def test_none_is_the_packages_generator_and_generators_pass_through():
    assert default_rng().random() != default_rng(0).random()
    generator = default_rng(5)
    assert default_rng(generator) is generator
