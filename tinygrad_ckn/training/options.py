"""The options of a training run, with defaults that depend on the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal, TypeAlias, get_args

from tinygrad_ckn.backend import use
from tinygrad_ckn.checks import integers, one_of
from tinygrad_ckn.data import AUGMENTATIONS
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import PRESETS, FineTuning
from tinygrad_ckn.models.linear.problem import Loss
from tinygrad_ckn.models.network_structure import MirrorAverage
from tinygrad_ckn.models.preprocessing.chain import NAMES
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.training.class_weight import check_class_weight
from tinygrad_ckn.training.interval import Interval
from tinygrad_ckn.training.tensorboard import check_installed

Mode: TypeAlias = Literal["unsupervised", "supervised"]
# Groups of options in the help of the command line.
MODEL = "Model"
LEARNING = "Learning"
COMPUTATION = "Computation"
OUTPUT = "Output"
# Data sets that are whitened and averaged over mirror images by default.
PHOTOGRAPHS = ("cifar10",)


@plain_arguments
@dataclass(frozen=True)
class Options:
    """Options of a training run, as config.json holds them.

    `train` takes each field as an argument, and those of `models.FineTuning`; see
    `resolve` for the defaults that depend on the data and on the model.

    Attributes
    ----------
    model
        A preset.
    mode
        "unsupervised": k-means filters, then the classifier; "supervised": then
        fine-tuning. A CNN is supervised, and its filters start at random.
    preprocessing
        One of `models.preprocessing.NAMES`; None: no preprocessing.
    mirror_average
        "features" or "scores", as for `CKN`; None: no average.
    loss
        "squared_hinge" or "cross_entropy".
    class_weight
        "balanced", or NAME=WEIGHT,NAME=WEIGHT with names of classes, as for `CKN.fit`;
        None: images of all classes count the same.
    n_patches, iterations
        Maximum number of patches and of iterations for k-means in each layer; unused by
        a CNN.
    seed
        Of all random numbers.
    device
        "cpu" or "cuda".
    checkpoint_every
        When the state of fine-tuning is saved to resume from: "10m": after each epoch,
        and within one 10 minutes after the last time; "2e": after every second epoch, and
        after each that is the best so far. It is always saved after the filters of a
        layer.
    csv, tensorboard
        Whether to write the measurements of epochs to metrics.csv and, as event files, to
        the folder tensorboard too.
    init_from
        The run or model file whose filters and preprocessing the model begins with,
        instead of learning filters from patches; None: it begins anew.
    descent
        The fields of `models.FineTuning`, with `augment` by name; None if unsupervised.
    """

    model: Annotated[
        str,
        f"Network to train: {', '.join(PRESETS)}. Default: unsup-32-64 for digits, otherwise "
        "unsup-64-256.",
        MODEL,
    ]
    mode: Annotated[
        Mode,
        "unsupervised: filters by k-means on patches, then a linear classifier; supervised: then "
        "fine-tuning by gradient descent. Default: unsupervised for unsup-*, otherwise supervised.",
        MODEL,
    ]
    preprocessing: Annotated[
        str | None,
        f"Preprocessing of the images: {', '.join(NAMES)} or none. Default: local_whitening for "
        "cifar10, otherwise none.",
        MODEL,
    ] = None
    mirror_average: Annotated[
        MirrorAverage | None,
        "Average features or scores over each image and its mirror image, or none; scores takes "
        "half the time to fit. Default: features for cifar10, otherwise none.",
        MODEL,
    ] = None
    loss: Annotated[Loss, "Loss of the classifier.", LEARNING] = "squared_hinge"
    class_weight: Annotated[
        str | None,
        "Weights of classes, for data with few images of some: balanced gives each class the same "
        "share, cat=3,dog=0.5 these weights and other classes 1. Default: all images count the "
        "same.",
        LEARNING,
    ] = None
    n_patches: Annotated[int, "Maximum number of patches for k-means in each layer.", LEARNING] = (
        200_000
    )
    iterations: Annotated[int, "Maximum number of k-means iterations.", LEARNING] = 30
    seed: Annotated[
        int, "Seed of all random numbers: the same seed gives the same model.", LEARNING
    ] = 0
    device: Annotated[
        Literal["cpu", "cuda"], "Device to compute on; cuda needs CuPy.", COMPUTATION
    ] = "cpu"
    checkpoint_every: Annotated[
        str,
        "Save the state for --resume within an epoch after this time, 10m, or only after every "
        "second epoch and each that is the best so far, 2e.",
        COMPUTATION,
    ] = "5m"
    csv: Annotated[bool, "Write metrics.csv too, a table of the epochs.", OUTPUT] = False
    tensorboard: Annotated[
        bool, "Write the measurements of epochs for TensorBoard, to tensorboard/.", OUTPUT
    ] = False
    init_from: str | None = None
    descent: Mapping[str, Any] | None = None

    def make_descent(self) -> FineTuning | None:
        """Return how to fine-tune the network; None if it is trained without labels."""
        if self.descent is None:
            return None
        augment = self.descent["augment"]
        return FineTuning(
            **{**self.descent, "augment": None if augment is None else AUGMENTATIONS[augment]}
        )


def resolve(data: str, **options: Any) -> Options:
    """Return the options of a training run, checked, with all defaults filled in.

    Parameters
    ----------
    data
        The data set's name.
    **options
        Fields of `Options` and, if supervised, of `models.FineTuning`, whose `augment`
        is a name: "crop-flip" shifts each image by up to 4 pixels and mirrors it with
        probability 1/2. None stands for the default: model "unsup-32-64" for digits,
        otherwise "unsup-64-256"; mode as `default_mode` says; for CIFAR-10 preprocessing
        "local_whitening" and mirror_average "features", otherwise "none" for both.

    Raises
    ------
    ConfigError
        If an option is unknown or out of its range, or one of fine-tuning is given when
        unsupervised.
    BackendError
        If the device is not available.

    Examples
    --------
    >>> resolve("digits").model, resolve("cifar10").preprocessing
    ('unsup-32-64', 'local_whitening')
    >>> resolve("cifar10", model="ckn5").descent["epochs"]
    10
    """
    general, tuning = (
        [field.name for field in fields(source) if field.name != "descent"]
        for source in (Options, FineTuning)
    )
    for name in options:
        one_of("train", [*general, *tuning], options=name)
    given = {name: value for name, value in options.items() if value is not None}
    chosen = _defaults(data, given.get("model")) | given
    descent = {name: chosen.pop(name) for name in tuning if name in chosen}
    _check(**chosen)
    use(chosen.get("device", Options.device))
    for name in ("preprocessing", "mirror_average"):
        chosen[name] = None if chosen[name] == "none" else chosen[name]
    resolved = Options(**chosen, descent=_descent(chosen["mode"], descent))
    finetuning = resolved.make_descent()
    if finetuning is not None:
        finetuning.check_loss(resolved.loss)
    return resolved


def default_mode(model: str) -> Mode:
    """Return the mode of a preset: unsupervised for unsup-*, else supervised."""
    return "unsupervised" if model.startswith("unsup-") else "supervised"


def _defaults(data: str, model: str | None) -> dict[str, Any]:
    """Return the defaults that depend on the data set or on the model."""
    model = model or ("unsup-32-64" if data == "digits" else "unsup-64-256")
    photographs = data in PHOTOGRAPHS
    return {
        "model": model,
        "mode": default_mode(model),
        "preprocessing": "local_whitening" if photographs else "none",
        "mirror_average": "features" if photographs else "none",
    }


def _check(
    *, model: str, mode: str, preprocessing: str, mirror_average: str, **others: Any
) -> None:
    """Raise a ConfigError if an option other than the device is out of its range."""
    one_of("train", tuple(PRESETS), model=model)
    one_of("train", get_args(Mode), mode=mode)
    one_of("train", (*NAMES, "none"), preprocessing=preprocessing)
    one_of("train", (*get_args(MirrorAverage), "none"), mirror_average=mirror_average)
    Interval.parse(others.get("checkpoint_every", Options.checkpoint_every))
    one_of("train", get_args(Loss), loss=others.get("loss", Options.loss))
    check_class_weight(others.get("class_weight"))
    for name, minimum in (("n_patches", 1), ("iterations", 1), ("seed", 0)):
        integers("train", minimum, **{name: others.get(name, getattr(Options, name))})
    for name in ("csv", "tensorboard"):
        chosen = others.get(name, False)
        one_of("train", (True, False), **{name: chosen})
        if chosen and mode == "unsupervised":
            raise ConfigError(
                f"train: argument {name} expected False in mode 'unsupervised', which has no "
                "epochs, got True; leave it out or choose mode 'supervised'"
            )
    if others.get("tensorboard"):
        check_installed()
    if mode == "unsupervised" and PRESETS[model].model == "CNN":
        raise ConfigError(
            f"train: argument mode expected 'supervised' for {model}, a CNN, which learns "
            "nothing without labels, got 'unsupervised'; leave it out or choose a CKN"
        )


def _descent(mode: str, given: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the checked fields of a FineTuning, None if unsupervised."""
    if mode == "unsupervised":
        for name, value in given.items():
            raise ConfigError(
                f"train: argument {name} expected None in mode 'unsupervised', which has no "
                f"fine-tuning, got {value!r}; leave it out or choose mode 'supervised'"
            )
        return None
    augment = given.get("augment")
    if augment is not None:
        one_of("train", tuple(AUGMENTATIONS), augment=augment)
    return {**asdict(FineTuning(**{**given, "augment": None})), "augment": augment}
