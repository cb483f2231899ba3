"""Training steps and features of a CKN, ours and PyTorch's, shared by several suites."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.costs import Cost
from benchmarks.suite import OURS, Case, Inputs, LeftOutError, Side, Work

LR = 0.01
MOMENTUM = 0.9
CLASSES = 10
EAGER = "torch eager, untouched"
TUNED = "torch eager, tuned malloc"
COMPILED = "torch.compile, tuned malloc"
POOL_FIRST = "torch eager, tuned, pool first"
REFERENCE = "torch in float64"


def natural_images(n: int, channels: int, size: int, rng: np.random.Generator) -> NDArray[Any]:
    """Return images (n, C, size, size) with the 1/f spectrum of photographs.

    They have mean 0 and variance 1.
    """
    frequencies = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    frequencies[0, 0] = frequencies[0, 1]
    spectrum = np.fft.rfft2(rng.standard_normal((n, channels, size, size))) / frequencies
    images: NDArray[Any] = np.fft.irfft2(spectrum, s=(size, size))
    images -= images.mean(axis=(1, 2, 3), keepdims=True)
    images /= images.std(axis=(1, 2, 3), keepdims=True)
    return images.astype("float32")


def ckn_inputs(preset: str, *, n_images: int, size: int = 32, filters: int | None = None) -> Inputs:
    """Return images, labels, and the configuration and weights of a network.

    The filters are centroids of patches. `filters` replaces the number of filters of
    all layers.
    """
    from tinygrad_ckn.models import CKN

    config = CKN.preset(preset, in_channels=3, image_size=size, n_classes=CLASSES).config()
    if filters is not None:
        for i, layer in enumerate(config["layers"]):
            layer.update(n_filters=filters, in_channels=filters if i else 3)
    rng = np.random.default_rng(0)
    images = natural_images(n_images, 3, size, rng)
    model = CKN.from_config(config)
    patches = 2 * max(layer["n_filters"] for layer in config["layers"])
    model.fit_unsupervised(images[:64], n_patches=patches, iterations=2, rng=rng)
    labels = rng.integers(0, CLASSES, n_images)
    return {"config": config, "weights": model.state_dict(), "images": images, "labels": labels}


def multiplications(preset: str, n_images: int, size: int, filters: int) -> float:
    """Return the multiplications of correlations and transforms in a forward pass.

    The gradient takes twice as many.
    """
    from tinygrad_ckn.models import PRESETS

    channels = 3
    total = 0.0
    for layer in PRESETS[preset].layers:
        total += size**2 * channels * layer["kernel_size"] ** 2 * filters
        size = int((size - 1) // layer["subsampling"]) + 1
        total += size**2 * filters**2
        channels = filters
    return n_images * total


def _our_model(inputs: Inputs, device: str, dtype: str) -> Any:
    from tinygrad_ckn.models import CKN

    config = inputs["config"]
    layers = [{**layer, "dtype": dtype} for layer in config["layers"]]
    model = CKN.from_config({**config, "layers": layers})
    model.load_state_dict({name: array.astype(dtype) for name, array in inputs["weights"].items()})
    return model.to(device)


def our_training(inputs: Inputs, device: str, *, dtype: str = "float32") -> Work:
    """Return the training step of `models.learning.finetuning`."""
    from tinygrad_ckn import Tensor, ops
    from tinygrad_ckn.backend import to_numpy, use
    from tinygrad_ckn.optim import SGD

    model = _our_model(inputs, device, dtype).train()
    xp = use(device).xp
    images = xp.asarray(inputs["images"], dtype=dtype)
    labels = xp.asarray(inputs["labels"])
    optimizer = SGD(model.parameters(), lr=LR, momentum=MOMENTUM)

    def step() -> Any:
        loss = ops.cross_entropy(model(Tensor.wrap(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def outputs() -> dict[str, Any]:
        first = step().item()
        gradients = [to_numpy(p.grad.data).copy() for p in model.parameters() if p.grad is not None]
        return _training_outputs(
            first, gradients, step().item(), [to_numpy(p.data) for p in model.parameters()]
        )

    return Work(step, outputs)


def our_features(inputs: Inputs, device: str, *, dtype: str = "float32") -> Work:
    """Return `CKN.encode`."""
    from tinygrad_ckn.backend import to_numpy, use

    model = _our_model(inputs, device, dtype).eval()
    images = use(device).xp.asarray(inputs["images"], dtype=dtype)

    def step() -> Any:
        return model.encode(images)

    return Work(step, lambda: {"features": to_numpy(step())})


def torch_on(device: str) -> Any:
    """Return the module torch, set to compute float32 products without TF32, as CuPy does.

    Raises
    ------
    LeftOutError
        If PyTorch finds no GPU.
    """
    import torch

    if device == "cuda":
        if not torch.cuda.is_available():
            raise LeftOutError("PyTorch is installed without CUDA, or finds no GPU")
        torch.backends.cudnn.allow_tf32 = False
    return torch


def _torch_model(inputs: Inputs, device: str, dtype: str, pool_first: bool) -> tuple[Any, Any]:
    torch = torch_on(device)

    from benchmarks.peers.torch_ckn import Network

    kind = {"float32": torch.float32, "float64": torch.float64}[dtype]
    model = Network(inputs["config"], inputs["weights"], dtype=kind, pool_first=pool_first)
    return model.to(device), torch.from_numpy(inputs["images"]).to(device, kind)


def torch_training(
    inputs: Inputs,
    device: str,
    *,
    compiled: bool = False,
    pool_first: bool = False,
    dtype: str = "float32",
) -> Work:
    """Return the same training step in PyTorch."""
    import torch

    from benchmarks.peers.torch_ckn import SphereSGD

    model, images = _torch_model(inputs, device, dtype, pool_first)
    labels = torch.from_numpy(inputs["labels"]).to(device)
    optimizer = SphereSGD(model.train(), LR, MOMENTUM)
    scores = torch.compile(model) if compiled else model

    def step() -> torch.Tensor:
        loss = torch.nn.functional.cross_entropy(scores(images), labels)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def outputs() -> dict[str, Any]:
        loss = torch.nn.functional.cross_entropy(scores(images), labels)
        loss.backward()
        # before the step projects them
        gradients = [p.grad.cpu().numpy().copy() for p in model.parameters()]
        optimizer.step()
        second = step().item()
        weights = [p.detach().cpu().numpy() for p in model.parameters()]
        return _training_outputs(loss.item(), gradients, second, weights)

    return Work(step, outputs)


def torch_features(
    inputs: Inputs,
    device: str,
    *,
    compiled: bool = False,
    pool_first: bool = False,
    dtype: str = "float32",
) -> Work:
    """Return the features in PyTorch; transforms are computed once."""
    import torch

    model, images = _torch_model(inputs, device, dtype, pool_first)
    model.eval()
    features = torch.compile(model.features) if compiled else model.features

    def step() -> Any:
        with torch.inference_mode():
            return features(images)

    return Work(step, lambda: {"features": step().cpu().numpy()})


def _training_outputs(
    first: float, gradients: Sequence[Any], second: float, weights: Sequence[Any]
) -> dict[str, Any]:
    """Name the compared outputs: losses, gradients of the first step, weights after two steps."""
    return {"losses": np.array([first, second]), "gradients": gradients, "weights": weights}


def _torch_sides(make: Callable[..., Work]) -> dict[str, Side]:
    side = functools.partial(Side, make=make, imports=("torch", "benchmarks.peers.torch_ckn"))
    sides = (
        side(TUNED, tuned_malloc=True),
        side(COMPILED, tuned_malloc=True, options={"compiled": True}),
        side(EAGER),
        side(POOL_FIRST, tuned_malloc=True, options={"pool_first": True}),
        side(REFERENCE, tuned_malloc=True, options={"dtype": "float64"}),
    )
    return {side.name: side for side in sides}


def ckn_case(
    name: str,
    make_inputs: Callable[[], Inputs],
    *,
    training: bool,
    targets: dict[str, float],
    peers: Sequence[str] = (TUNED, COMPILED, EAGER, POOL_FIRST),
    device: str = "cpu",
    costs: Sequence[Cost] = (),
    **options: Any,
) -> Case:
    """Return the case of a network, with the named PyTorch peers.

    Sides are compared with PyTorch in float64. Features and losses agree within 1e-4.
    Gradients of five layers with eps = 1e-3, each of which may multiply an error by 30,
    agree within 3e-4 in float32, including PyTorch's own. On a GPU the only peer is
    unmodified PyTorch, targets (which hold for the CPU) are dropped, and all sides are
    compared with ours on the CPU in float64, which does not need PyTorch.
    """
    ours = our_training if training else our_features
    all_peers = _torch_sides(torch_training if training else torch_features)
    training_tolerances = {"losses": 1e-4, "gradients": 3e-4, "weights": 1e-4}
    reference = all_peers[REFERENCE]
    if device == "cuda":
        peers = (EAGER,)
        targets = {}
        reference = Side("the CPU in float64", ours, options={"dtype": "float64"}, device="cpu")
    return Case(
        name,
        [
            Side(OURS, ours, imports=("tinygrad_ckn.models", "tinygrad_ckn.optim")),
            *(all_peers[peer] for peer in peers),
        ],
        make_inputs,
        tolerances=training_tolerances if training else {"features": 1e-4},
        reference=reference,
        targets=targets,
        costs=costs,
        **options,
    )
