"""Objects of the library can be pickled and copied, with the same bits after.

Primitives are pickled by name, all others by value.
"""

import copy
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_ckn
from tinygrad_ckn import Tensor, models, nn, ops, optim
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.models import CKN, CNN, CKNLayer, ConvLayer, kernels
from tinygrad_ckn.models.preprocessing.chain import make_preprocessor
from tinygrad_ckn.optim import schedules
from tinygrad_ckn.primitive import REGISTRY, Array, primitive

WAYS = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
x = np.random.default_rng(0).random((3, 1, 6, 6), dtype="float32")


@each_way
@pytest.mark.parametrize("name", [n for n in ops.__all__ if callable(getattr(ops, n))])
def test_every_operation_is_itself_again(name, way):
    assert way(getattr(ops, name)) is getattr(ops, name)


@each_way
@pytest.mark.parametrize("name", REGISTRY)
def test_every_primitive_is_itself_again(name, way):
    assert way(REGISTRY[name]) is REGISTRY[name]


class Net(nn.Module):
    def __init__(self):
        self.act, self.linear = ops.tanh, nn.Linear(6, 2, rng=0)
        self.more = {"f": [ops.exp, ops.softmax]}

    def forward(self, x):
        return self.more["f"][1](self.act(self.linear(x)))


MODULES = {
    "with operations": Net,
    "Sequential": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3, rng=0), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2, rng=1)
    ),
    "CKNLayer": lambda: CKNLayer(
        1, 4, 3, subsampling=2, kernel=0.3 * kernels.Exponential(0.5) + kernels.Linear(), rng=0
    ),
    "trained kernel": lambda: CKNLayer(
        1, 4, 3, kernel=kernels.Exponential(0.5, trained=True), center=True, rng=0
    ),
    "ConvLayer": lambda: ConvLayer(1, 4, 3, pooling="max", subsampling=2, rng=0),
    "CKN": lambda: CKN(1, 6, 2, [CKNLayer(1, 4, 3, rng=0)], preprocessing="standardize", rng=0),
    "CNN": lambda: CNN(1, 6, 2, [ConvLayer(1, 4, 3, rng=0)], rng=0),
}


@pytest.mark.parametrize("way", [WAYS["pickle"], WAYS["deepcopy"]], ids=["pickle", "deepcopy"])
@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
@pytest.mark.parametrize("evaluating", [True, False])
def test_modules_compute_the_same_bits(make, way, evaluating):
    module = make().train(not evaluating)
    if isinstance(module, CKN):
        module.preprocessing.fit(x)
    expected = module(x).numpy()
    again = way(module)
    assert np.array_equal(again(x).numpy(), expected)
    assert again.training == module.training
    for (name, mine), (other, theirs) in zip(
        module.named_tensors(), again.named_tensors(), strict=True
    ):
        assert name == other
        assert type(mine) is type(theirs)
        assert not np.shares_memory(mine.data, theirs.data)


KERNELS = [
    kernels.Exponential(0.5),
    kernels.Matern(0.5, 2.0),
    kernels.Linear(),
    kernels.Polynomial(3),
    kernels.InnerPolynomial(0.5, 3),
    kernels.InversePolynomial(),
    kernels.PowerSeries((1, 2)),
    kernels.ArcCosine0(),
    kernels.ArcCosine1(),
    0.3 * kernels.Linear() + 0.2 * kernels.Exponential(0.4),
    kernels.Linear() * kernels.Polynomial(2),
]


@each_way
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_kernels_give_the_same_bits(kernel, way):
    u = np.linspace(-0.9, 0.9, 7)
    assert way(kernel) == kernel
    assert np.array_equal(way(kernel).kappa(u), kernel.kappa(u))
    assert np.array_equal(way(kernel.fused())(u), kernel.fused()(u))
    assert way(kernel.fused()).device == kernel.fused().device


def test_every_kernel_is_in_the_table():
    classes = {
        c for c in vars(kernels).values() if inspect.isclass(c) and issubclass(c, kernels.Kernel)
    }
    known = {type(kernel) for kernel in KERNELS}
    assert {c for c in classes if not inspect.isabstract(c)} <= known


def optimizers():
    w = nn.Parameter([1.0, 2.0])
    return {
        "SGD": optim.SGD([w], lr=0.1, momentum=0.9),
        "Adam": optim.Adam([w], lr=0.1),
        "AdamW": optim.AdamW([w], lr=0.1),
    }


@pytest.mark.parametrize("way", [WAYS["pickle"], WAYS["deepcopy"]], ids=["pickle", "deepcopy"])
@pytest.mark.parametrize("name", optimizers())
def test_optimisers_step_to_the_same_bits(name, way):
    def step(optimizer):
        (w,) = optimizer.params
        w.grad = Tensor([0.3, -0.2])
        optimizer.step()
        return w.data

    optimizer = optimizers()[name]
    step(optimizer)
    again = way(optimizer)
    assert np.array_equal(step(again), step(optimizer))


def test_schedules_and_options():
    for name in schedules.__dict__:
        kind = getattr(schedules, name)
        if (
            inspect.isclass(kind)
            and kind.__module__ == schedules.__name__
            and not inspect.isabstract(kind)
        ):
            assert pickle.loads(pickle.dumps(kind)) is kind
    w = nn.Parameter([1.0])
    scheduler = pickle.loads(
        pickle.dumps(optim.Scheduler(optim.SGD([w], lr=0.1), optim.CosineDecay(4)))
    )
    scheduler.step()
    assert scheduler.optimizer.lr < 0.1
    assert pickle.loads(pickle.dumps(optim.LBFGS([w]))).params[0].item() == 1.0
    descent = models.FineTuning(epochs=3, lr=0.1)
    assert pickle.loads(pickle.dumps(descent)) == descent
    for spec in ("standardize", "local_whitening", "gradient_map"):
        made = make_preprocessor(spec)
        assert pickle.loads(pickle.dumps(made)).config() == made.config()


def test_a_tensor_goes_by_value_without_graph_and_gradient():
    t = Tensor([1.0, 2.0], requires_grad=True)
    (t * t).sum().backward()
    for way in WAYS.values():
        again = way(t)
        assert again.requires_grad
        assert again.grad is None
        assert np.array_equal(again.data, t.data)
        assert not way(t * 2).requires_grad


def test_a_primitive_defined_again_replaces_the_former_and_other_modules_keep_theirs():
    try:

        def define(factor):
            @primitive
            def planted_again(xp, x: Array):
                return factor * x

            planted_again.vjp(x=lambda g: factor * g)
            return planted_again

        old, new = define(2), define(3)
        assert REGISTRY["planted_again"] is new
        assert copy.deepcopy(old) is old
        assert old(np.ones(1)) == 2
        assert pickle.loads(pickle.dumps(new)) is new
        t = Tensor([1.0], requires_grad=True)
        new(t).backward()
        assert t.grad.item() == 3
    finally:
        REGISTRY.pop("planted_again", None)


def test_an_unknown_primitive_gets_a_sentence():
    @primitive
    def planted_gone(xp, x: Array):
        return x

    try:
        data = pickle.dumps(planted_gone)
    finally:
        del REGISTRY["planted_gone"]
    with pytest.raises(
        GradientError,
        match=r"unpickling primitive 'planted_gone': expected module '.*' to define it",
    ):
        pickle.loads(data)


def test_another_process_imports_the_module_that_defines_a_primitive(tmp_path, monkeypatch):
    (tmp_path / "own_ops.py").write_text(
        "from tinygrad_ckn.primitive import Array, primitive\n"
        "@primitive\ndef planted_own(xp, x: Array):\n    return 2 * x\n"
    )
    run = [sys.executable, "-c"]
    monkeypatch.setenv("PYTHONPATH", str(Path(tinygrad_ckn.__file__).parent.parent))
    write = "import pickle, own_ops; open('op.pkl', 'wb').write(pickle.dumps(own_ops.planted_own))"
    read = "import pickle; print(pickle.load(open('op.pkl', 'rb'))(3))"
    subprocess.run([*run, write], cwd=tmp_path, check=True)
    assert (
        subprocess.run(
            [*run, read], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout
        == "6\n"
    )
