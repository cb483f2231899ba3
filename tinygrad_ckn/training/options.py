"""The options of a training: defaults that depend on the data and the model, and checks."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

from tinygrad_ckn.backend import use
from tinygrad_ckn.data import AUGMENTATIONS
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import PRESETS

MODES = ("unsupervised", "supervised")
EPOCHS, BATCH_SIZE, LR = 10, 128, 0.01  # those of CKN.fit
N_PATCHES = 100_000


@dataclass(frozen=True)
class Options:
    """What a training was asked for; epochs, batch_size, lr and augment are None when unsupervised."""

    model: str
    mode: str
    epochs: int | None
    batch_size: int | None
    lr: float | None
    augment: str | None
    n_patches: int
    seed: int
    device: str


def resolve(
    data: str,
    *,
    model: str | None = None,
    mode: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    augment: str | None = None,
    n_patches: int = N_PATCHES,
    seed: int = 0,
    device: str = "cpu",
) -> Options:
    """Return the options, checked, with defaults for those that are None.

    Parameters
    ----------
    data
        The data set's name.
    model
        A preset; by default unsup-32-64 for digits and unsup-64-256 otherwise.
    mode
        "unsupervised" (k-means filters, then the classifier) or "supervised" (then everything by SGD); by default
        unsupervised for the unsup-* presets and supervised for the others.
    epochs, batch_size, lr
        Of SGD, when supervised: by default 10, 128 and 0.01.
    augment
        What SGD is shown, when supervised: "crop-flip" (each image shifted by up to 4 pixels, every other one mirrored)
        or None: the images as they are.
    n_patches
        At most so many patches for k-means in each layer.
    seed
        Of all that is random.
    device
        "cpu" or "cuda".

    Raises
    ------
    ConfigError
        If an option is out of its range, or given where it has no effect.
    BackendError
        If the device is not there.

    Examples
    --------
    >>> resolve("digits").model, resolve("cifar10").model, resolve("cifar10", model="ckn5").epochs
    ('unsup-32-64', 'unsup-64-256', 10)
    """
    model = model or ("unsup-32-64" if data == "digits" else "unsup-64-256")
    if model not in PRESETS:
        raise ConfigError(f"train: argument model expected one of {', '.join(PRESETS)}, got {model!r}")
    mode = mode or ("unsupervised" if model.startswith("unsup-") else "supervised")
    if mode not in MODES:
        raise ConfigError(f"train: argument mode expected {' or '.join(map(repr, MODES))}, got {mode!r}")
    if mode == "unsupervised":
        for name, value in (("epochs", epochs), ("batch_size", batch_size), ("lr", lr), ("augment", augment)):
            if value is not None:
                raise ConfigError(
                    f"train: argument {name} expected nothing in mode 'unsupervised', where there is no descent, "
                    f"got {value!r}; leave it out or choose mode 'supervised'"
                )
    else:
        epochs = EPOCHS if epochs is None else _whole("epochs", epochs, least=0)
        batch_size = BATCH_SIZE if batch_size is None else _whole("batch_size", batch_size, least=1)
        lr = LR if lr is None else lr
        if not isinstance(lr, Real) or not 0 < lr < float("inf"):
            raise ConfigError(f"train: argument lr expected a finite number > 0, got {lr!r}")
        if augment is not None and augment not in AUGMENTATIONS:
            raise ConfigError(
                f"train: argument augment expected {' or '.join(map(repr, AUGMENTATIONS))} or nothing, got {augment!r}"
            )
    use(device)
    return Options(
        model=model,
        mode=mode,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        augment=augment,
        n_patches=_whole("n_patches", n_patches, least=1),
        seed=_whole("seed", seed, least=0),
        device=device,
    )


def _whole(name: str, value: int, *, least: int) -> int:
    """Return an option that is a whole number."""
    if not isinstance(value, int) or value < least:
        raise ConfigError(f"train: argument {name} expected a whole number >= {least}, got {value!r}")
    return value
