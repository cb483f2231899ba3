"""The options of a training: defaults that depend on the data and the model, and checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from tinygrad_ckn.backend import is_whole, use
from tinygrad_ckn.data import AUGMENTATIONS
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import PRESETS, FineTuning
from tinygrad_ckn.models.linear.logistic import LOSSES
from tinygrad_ckn.models.preprocessing.chain import NAMES
from tinygrad_ckn.plain import plain_arguments

MODES = ("unsupervised", "supervised")
N_PATCHES = 200_000
ITERATIONS = 30
# whitened and averaged over mirror images unless told otherwise
PHOTOGRAPHS = ("cifar10",)


@plain_arguments
@dataclass(frozen=True)
class Options:
    """What a training was asked for; `descent` has the fields of `models.FineTuning`, and is None when unsupervised."""

    model: str
    mode: str
    preprocessing: str | None
    mirror_average: str | None
    loss: str
    n_patches: int
    iterations: int
    seed: int
    device: str
    descent: Mapping[str, Any] | None

    def make_descent(self) -> FineTuning | None:
        """Return how the network learns end to end, if it does."""
        if self.descent is None:
            return None
        augment = self.descent["augment"]
        return FineTuning(
            **{**self.descent, "augment": None if augment is None else AUGMENTATIONS[augment]}
        )


def resolve(
    data: str,
    *,
    model: str | None = None,
    mode: str | None = None,
    preprocessing: str | None = None,
    mirror_average: str | None = None,
    loss: str = "squared_hinge",
    n_patches: int = N_PATCHES,
    iterations: int = ITERATIONS,
    seed: int = 0,
    device: str = "cpu",
    **descent: Any,
) -> Options:
    """Return the options, checked, with defaults for those that are None.

    Parameters
    ----------
    data
        The data set's name.
    model
        A preset; by default unsup-32-64 for digits and unsup-64-256 otherwise.
    mode
        "unsupervised" (k-means filters, then the classifier) or "supervised" (then
        everything by descent); see `default_mode`. A CNN is supervised, and its filters
        start at random.
    preprocessing
        One of `models.preprocessing.NAMES`, or "none"; by default "local_whitening" for
        CIFAR-10, else none.
    mirror_average
        "features", "scores", as for `CKN`, or "none"; by default "features" for
        CIFAR-10, else none.
    loss
        "squared_hinge" or "cross_entropy".
    n_patches, iterations
        At most so many patches and iterations for k-means in each layer; a CNN has none.
    seed
        Of all that is random.
    device
        "cpu" or "cuda".
    **descent
        When supervised, the fields of `models.FineTuning`; `augment` by name: "crop-flip"
        (each image shifted by up to 4 pixels, and mirrored with probability 1/2) or
        None: the images as they are. Those that are None have their defaults.

    Raises
    ------
    ConfigError
        If an option is unknown or out of its range, or one of a descent is given when
        unsupervised.
    BackendError
        If the device is not there.

    Examples
    --------
    >>> resolve("digits").model, resolve("cifar10").preprocessing, resolve("cifar10", model="ckn5").descent["epochs"]
    ('unsup-32-64', 'local_whitening', 10)
    """
    model = model or ("unsup-32-64" if data == "digits" else "unsup-64-256")
    _one_of("model", model, tuple(PRESETS))
    mode = mode or default_mode(model)
    preprocessing = preprocessing or ("local_whitening" if data in PHOTOGRAPHS else "none")
    mirror_average = mirror_average or ("features" if data in PHOTOGRAPHS else "none")
    for name, value, known in (
        ("mode", mode, MODES),
        ("preprocessing", preprocessing, (*NAMES, "none")),
        ("mirror_average", mirror_average, ("features", "scores", "none")),
        ("loss", loss, tuple(LOSSES)),
    ):
        _one_of(name, value, known)
    if mode == "unsupervised" and PRESETS[model].model == "CNN":
        raise ConfigError(
            f"train: argument mode expected 'supervised' for {model}, a CNN, which learns nothing without labels, "
            "got 'unsupervised'; leave it out or choose a CKN"
        )
    use(device)
    return Options(
        model=model,
        mode=mode,
        preprocessing=None if preprocessing == "none" else preprocessing,
        mirror_average=None if mirror_average == "none" else mirror_average,
        loss=loss,
        n_patches=_whole("n_patches", n_patches, least=1),
        iterations=_whole("iterations", iterations, least=1),
        seed=_whole("seed", seed, least=0),
        device=device,
        descent=_descent(mode, descent),
    )


def default_mode(model: str) -> str:
    """Return the mode of a preset where none is given: unsupervised for unsup-*, supervised for the others."""
    return "unsupervised" if model.startswith("unsup-") else "supervised"


def _descent(mode: str, options: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the fields of a FineTuning, checked, with `augment` by name; None when unsupervised."""
    known = [
        field.name for field in (*fields(Options), *fields(FineTuning)) if field.name != "descent"
    ]
    for name in options:
        _one_of("options", name, known)
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if mode == "unsupervised":
            raise ConfigError(
                f"train: argument {name} expected nothing in mode 'unsupervised', where there is no descent, "
                f"got {value!r}; leave it out or choose mode 'supervised'"
            )
    if mode == "unsupervised":
        return None
    augment = given.get("augment")
    if augment is not None:
        _one_of("augment", augment, tuple(AUGMENTATIONS))
    return {**asdict(FineTuning(**{**given, "augment": None})), "augment": augment}


def _one_of(name: str, value: Any, known: Any) -> None:
    if value not in known:
        raise ConfigError(
            f"train: argument {name} expected one of {', '.join(known)}, got {value!r}"
        )


def _whole(name: str, value: int, *, least: int) -> int:
    """Return an option that is an integer."""
    if not is_whole(value, least):
        raise ConfigError(f"train: argument {name} expected an integer >= {least}, got {value!r}")
    return int(value)
