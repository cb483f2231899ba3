"""Options of fine-tuning, and the split of a validation set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeAlias, get_args

import numpy as np

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Generator, NDArray
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.groups import whole_groups
from tinygrad_ckn.integers import is_whole
from tinygrad_ckn.nn import Parameter
from tinygrad_ckn.optim import (
    SGD,
    Adam,
    CosineDecay,
    LinearWarmup,
    Optimizer,
    Schedule,
    Scheduler,
    StepDecay,
)
from tinygrad_ckn.plain import plain_arguments

OptimizerName: TypeAlias = Literal["sgd", "adam"]
ScheduleName: TypeAlias = Literal["cosine", "step", "constant"]
# Learning rates used if none is given and the loss is not too curved for them.
BASE_LR: dict[OptimizerName, float] = {"sgd": 0.01, "adam": 0.001}


@plain_arguments
@dataclass(frozen=True)
class FineTuning:
    """How to train a network end to end by stochastic gradient descent.

    Attributes
    ----------
    epochs : int, default 10
        Maximum number of passes over the images.
    batch_size : int, default 128
        Images per step.
    optimizer : "sgd" or "adam", default "sgd"
        Both keep filters on their spheres.
    lr : float or None, default None
        Learning rate after the warm-up. None: 0.01 (Adam: 0.001), or lower if the loss is
        so curved at the start that steps at that rate would diverge.
    momentum : float in [0, 1), default 0.9
        Of SGD.
    warmup : float >= 0, default 0.5
        Epochs, whole or in part, in which the learning rate rises linearly from 0.
    schedule : "cosine", "step" or "constant", default "cosine"
        Of the learning rate after the warm-up: cosine decay to 0, a factor of 0.1 after
        each third of the epochs, or constant.
    alternating : bool, default False
        False: classifier and filters are trained together. True: the classifier is
        refitted by L-BFGS before each epoch, which trains the filters alone (Mairal 2016).
    refit_classifier_every : int or None, default None
        Epochs between refits of the classifier by L-BFGS, unless alternating. None:
        never. The features of a CKN are small and the weights fitted to them large
        compared with a step of SGD: between two refits filters move, but the classifier
        hardly does.
    l2 : float >= 0, default 1e-5
        Regularisation of the classifier for features of mean squared norm 1, as for
        `fit_linear`.
    label_smoothing : float in [0, 1), default 0
        Of the loss "cross_entropy": 1 - label_smoothing at the label plus label_smoothing
        / k at each of the k classes (C. Szegedy et al. 2016, arXiv 1512.00567, section
        7). The validation loss is not smoothed.
    mixup : float > 0 or None, default None
        Train on mixtures of two images and their labels, in proportions from Beta(mixup,
        mixup) (H. Zhang et al. 2018, arXiv 1710.09412); 0.2 is usual. None: on images as
        they are.
    clip_norm : float > 0 or None, default None
        Scale the gradient of all parameters together, for filters that on their spheres,
        to at most this norm (R. Pascanu, T. Mikolov and Y. Bengio 2013, arXiv 1211.5063).
        None: never.
    ema : float in (0, 1) or None, default None
        Decay per step of an exponential moving average of the parameters, filters put
        back onto their spheres, which is validated and kept in place of the parameters
        (B. Polyak and A. Juditsky 1992); about 1 / (1 - ema) steps count. Not with refits
        of the classifier. None: no average.
    augment : callable or None, default None
        Augmentation, called as augment(batch, rng), such as
        `tinygrad_ckn.data.crop_flip`.
    validation : float in [0, 1), default 0.1
        Share of the images held out as a validation set. Its accuracy is measured at the
        start and after each epoch, and the parameters of the best are kept. 0: no
        validation set; the last parameters are kept.
    freeze : tuple of int, default ()
        Layers whose filters fine-tuning leaves, counted from 1.
    patience : int or None, default None
        Stop after this many epochs without improvement of the validation accuracy (ties:
        loss). None: never stop early.

    Raises
    ------
    ConfigError
        If a value is out of range.

    Examples
    --------
    >>> FineTuning(epochs=5, optimizer="adam", lr=1e-3).schedule
    'cosine'
    """

    epochs: Annotated[int, "Maximum number of passes over the training images."] = 10
    batch_size: Annotated[int, "Images per step."] = 128
    optimizer: Annotated[OptimizerName, "Optimiser."] = "sgd"
    lr: Annotated[
        float | None,
        "Learning rate after the warm-up. Default: 0.01 (adam: 0.001), or less if the loss is "
        "curved too strongly for that.",
    ] = None
    momentum: float = 0.9
    warmup: Annotated[
        float, "Epochs, or fraction of one, over which the learning rate rises from 0."
    ] = 0.5
    schedule: Annotated[ScheduleName, "Learning rate schedule after the warm-up."] = "cosine"
    alternating: Annotated[
        bool, "Refit the classifier before each epoch, which then trains the filters alone."
    ] = False
    refit_classifier_every: Annotated[
        int | None, "Epochs between two refits of the classifier. Default: never."
    ] = None
    l2: float = 1e-5
    label_smoothing: Annotated[
        float, "Fraction of each label that is spread over all classes; for cross_entropy."
    ] = 0.0
    mixup: Annotated[
        float | None,
        "Train on mixtures of two images, in proportions from Beta(mixup, mixup); 0.2 is usual. "
        "Default: no mixtures.",
    ] = None
    clip_norm: Annotated[
        float | None, "Largest norm of the gradient, which is scaled down to it. Default: none."
    ] = None
    ema: Annotated[
        float | None,
        "Decay of a moving average of the parameters over the steps, such as 0.99, which is "
        "validated and kept. Default: no average.",
    ] = None
    augment: Annotated[
        Callable[[Any, Generator], Any] | None,
        "Data augmentation: crop-flip shifts each image by up to 4 pixels and mirrors it with "
        "probability 1/2. Default: none.",
    ] = None
    validation: Annotated[
        float, "Fraction of the training images held out to choose the best epoch."
    ] = 0.1
    freeze: Annotated[
        tuple[int, ...],
        "Layers whose filters fine-tuning leaves, counted from 1, such as 1,2. Default: none.",
    ] = ()
    patience: Annotated[
        int | None,
        "Stop after this many epochs without improvement on the validation set. Default: never.",
    ] = None

    def __post_init__(self) -> None:
        name = "FineTuning"
        checks.integers(name, 0, epochs=self.epochs)
        checks.integers(name, batch_size=self.batch_size)
        checks.integers(
            name,
            or_none=True,
            refit_classifier_every=self.refit_classifier_every,
            patience=self.patience,
        )
        checks.one_of(name, get_args(OptimizerName), optimizer=self.optimizer)
        checks.one_of(name, get_args(ScheduleName), schedule=self.schedule)
        checks.one_of(name, (True, False), alternating=self.alternating)
        if self.lr is not None:
            checks.positive(name, lr=self.lr)
        for option in ("warmup", "l2"):
            value = getattr(self, option)
            checks.number(name, option, value, "a finite number >= 0", lambda x: 0 <= x < math.inf)
        for option in ("mixup", "clip_norm"):
            if getattr(self, option) is not None:
                checks.positive(name, **{option: getattr(self, option)})
        if self.ema is not None:
            checks.number(name, "ema", self.ema, "a number in (0, 1) or None", lambda x: 0 < x < 1)
        for option in ("momentum", "label_smoothing", "validation"):
            value = getattr(self, option)
            checks.number(name, option, value, "a number in [0, 1)", lambda x: 0 <= x < 1)
        self._check_combinations()

    def _check_combinations(self) -> None:
        """Check `augment` and `freeze`, and options that exclude each other."""
        if not (isinstance(self.freeze, tuple | list) and all(is_whole(i, 1) for i in self.freeze)):
            raise ConfigError(
                "FineTuning: argument freeze expected numbers of layers, from 1, such as (1, 2), "
                f"got {self.freeze!r}"
            )
        if not (self.augment is None or callable(self.augment)):
            raise ConfigError(
                "FineTuning: argument augment expected a function of images and a generator or "
                f"None, got {self.augment!r}"
            )
        if self.refit_classifier_every is not None and self.alternating:
            raise ConfigError(
                "FineTuning: argument refit_classifier_every expected None with alternating=True, "
                f"which refits before each epoch, got {self.refit_classifier_every}"
            )
        if self.ema is not None and (self.alternating or self.refit_classifier_every is not None):
            raise ConfigError(
                "FineTuning: argument ema expected None where the classifier is refitted, because "
                f"it would not fit the averaged filters, got {self.ema!r}; leave out alternating "
                "and refit_classifier_every"
            )
        if self.patience is not None and not self.validation:
            raise ConfigError(
                "FineTuning: argument patience expected None without a validation set, "
                f"got {self.patience}; set validation > 0"
            )

    def config(self) -> dict[str, Any]:
        """Return the options as JSON values; of `augment` the name of the function."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.augment is not None:
            kind = type(self.augment)
            name = getattr(self.augment, "__qualname__", f"{kind.__module__}.{kind.__qualname__}")
            values["augment"] = name
        return values

    def check_loss(self, loss: str) -> None:
        """Raise a ConfigError if an option does not go with a loss."""
        if self.label_smoothing and loss != "cross_entropy":
            raise ConfigError(
                "FineTuning: argument label_smoothing expected 0 with the loss "
                f"{loss!r}, which has no probabilities to smooth, got {self.label_smoothing!r}; "
                "choose cross_entropy"
            )

    @property
    def base_lr(self) -> float:
        """The learning rate `lr`, or if it is None the default of the optimiser."""
        return BASE_LR[self.optimizer] if self.lr is None else self.lr

    def stable_lr(self, curvature: float) -> float:
        """Return `base_lr`, or a lower rate for a loss with this largest curvature.

        For SGD, whose moving average makes steps 1 / (1 - momentum) as long, it is at most
        the rate whose step along the direction of largest curvature ends at the minimum.

        Examples
        --------
        >>> FineTuning(momentum=0.5).stable_lr(10.0), FineTuning(momentum=0.5).stable_lr(500.0)
        (0.01, 0.001)
        """
        if self.optimizer == "adam" or curvature <= 0:
            return self.base_lr
        return min(self.base_lr, (1 - self.momentum) / curvature)

    def make_optimizer(
        self, parameters: Sequence[Parameter], steps: int
    ) -> tuple[Optimizer, Scheduler]:
        """Return the optimiser and its scheduler, for epochs of `steps` steps."""
        if self.optimizer == "adam":
            optimizer: Optimizer = Adam(parameters, lr=self.base_lr)
        else:
            optimizer = SGD(parameters, lr=self.base_lr, momentum=self.momentum)
        total = max(1, self.epochs * steps)
        warmup = min(round(self.warmup * steps), total - 1)
        remaining = max(1, total - warmup)
        schedules: dict[ScheduleName, Schedule] = {
            "cosine": CosineDecay(remaining),
            "step": StepDecay(max(1, math.ceil(remaining / 3)), gamma=0.1),
            "constant": StepDecay(remaining, gamma=1.0),
        }
        schedule = schedules[self.schedule]
        return optimizer, Scheduler(
            optimizer, LinearWarmup(warmup, schedule) if warmup else schedule
        )


def n_held_out(n: int, share: float) -> int:
    """Return the size of the validation set for n images.

    It is the share of n, rounded, but at least 1 and at most n - 1 unless the share is 0.
    """
    return min(max(1, round(share * n)), n - 1) if share else 0


def hold_out(
    n: int, share: float, rng: Generator, groups: NDArray[Any] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split n images at random into a training and a validation set.

    Returns the indices of both, ascending, on the host. Images of one group (n,) stay
    together.
    """
    held_out = np.zeros(n, "bool")
    held_out[rng.permutation(n)[: n_held_out(n, share)]] = True
    if held_out.any():
        held_out = whole_groups(held_out, groups)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
