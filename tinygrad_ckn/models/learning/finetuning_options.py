"""How a network is to learn end to end: the options of a descent, and what is held out of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, get_args

from tinygrad_ckn.backend import CPU, Generator, is_whole
from tinygrad_ckn.checks import number
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.fingerprints import whole_groups
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
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
# Learning rates where none is given and the loss is not curved too much for them.
USUAL_LR = {"sgd": 0.01, "adam": 0.001}
SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)


@plain_arguments
@dataclass(frozen=True)
class FineTuning:
    """How a network learns end to end.

    Attributes
    ----------
    epochs
        At most so many times through the images.
    batch_size
        Images a step.
    optimizer
        "sgd" or "adam"; either keeps filters on their spheres.
    lr
        Learning rate after the warm-up; None: 0.01, of Adam 0.001, or less where the
        loss is so curved at the start that steps of that rate would grow from one to
        the next (`models.curvature`).
    momentum
        Of SGD.
    warmup
        Epochs, or a part of one, in which the rate rises from 0.
    schedule
        From there on: "cosine" to 0, "step" (a tenth after each third of the epochs) or
        "constant".
    alternating
        False: classifier and filters are trained together by gradient descent. True: the
        classifier is refitted by L-BFGS before each epoch, which trains the filters alone
        (Mairal 2016).
    refit_classifier_every
        Unless alternating: epochs after which the classifier is solved by L-BFGS;
        None: never. A CKN's features are small and the weights solved for them large
        beside a step of SGD: between two solutions filters move, and the classifier
        hardly does.
    l2
        Regularisation, in the terms of `fit_linear`: for features of mean squared norm 1.
    augment
        Makes the images that the descent is shown of those of a batch and a generator; as
        `tinygrad_ckn.data.crop_flip`.
    validation
        Share of the images held out, on which accuracy is measured before the first and
        after each epoch; the parameters of the best are kept. 0: none is held out, and
        the last parameters are kept.
    patience
        Epochs without a better accuracy, or an equal one with less loss, after which
        the descent ends; None: none do.

    Raises
    ------
    ConfigError
        If a value is out of its range.

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
    augment: Annotated[
        Callable[[Any, Generator], Any] | None,
        "Data augmentation: crop-flip shifts each image by up to 4 pixels and mirrors it with "
        "probability 1/2. Default: none.",
    ] = None
    validation: Annotated[
        float, "Fraction of the training images held out to choose the best epoch."
    ] = 0.1
    patience: Annotated[
        int | None,
        "Stop after this many epochs without improvement on the validation set. Default: never.",
    ] = None

    def __post_init__(self) -> None:
        for name, least in (
            ("epochs", 0),
            ("batch_size", 1),
            ("refit_classifier_every", 1),
            ("patience", 1),
        ):
            value = getattr(self, name)
            if not is_whole(value, least) and not (
                value is None and name in ("refit_classifier_every", "patience")
            ):
                raise ConfigError(
                    f"FineTuning: argument {name} expected an integer >= {least}, got {value!r}"
                )
        for name, known in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"FineTuning: argument {name} expected one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        if self.lr is not None:
            number(
                "FineTuning",
                "lr",
                self.lr,
                "a finite number > 0",
                lambda value: 0 < value < math.inf,
            )
        for name in ("warmup", "l2"):
            number(
                "FineTuning",
                name,
                getattr(self, name),
                "a finite number >= 0",
                lambda value: 0 <= value < math.inf,
            )
        for name in ("momentum", "validation"):
            number(
                "FineTuning",
                name,
                getattr(self, name),
                "a number in [0, 1)",
                lambda value: 0 <= value < 1,
            )
        if not (self.augment is None or callable(self.augment)):
            raise ConfigError(
                f"FineTuning: argument augment expected a function of images and a generator or None, got {self.augment!r}"
            )
        if not isinstance(self.alternating, bool):
            raise ConfigError(
                f"FineTuning: argument alternating expected True or False, got {self.alternating!r}"
            )
        if self.refit_classifier_every is not None and self.alternating:
            raise ConfigError(
                "FineTuning: argument refit_classifier_every expected None with alternating=True, which solves the classifier "
                f"before each epoch, got {self.refit_classifier_every}"
            )
        if self.patience is not None and not self.validation:
            raise ConfigError(
                f"FineTuning: argument patience expected None without images held out, got {self.patience}; "
                "give a validation share > 0"
            )

    @property
    def base_lr(self) -> float:
        """The learning rate, or where it is None that of the optimiser."""
        return USUAL_LR[self.optimizer] if self.lr is None else self.lr

    def stable_lr(self, curvature: float) -> float:
        """Return the usual learning rate, or less where the loss has this largest curvature.

        Of SGD, whose moving average makes steps 1 / (1 - momentum) as long, that of a
        step in the direction of the largest curvature which ends where the loss is
        least.

        Examples
        --------
        >>> FineTuning(momentum=0.5).lr_for(10.0), FineTuning(momentum=0.5).lr_for(500.0)
        (0.01, 0.001)
        """
        if self.optimizer == "adam" or curvature <= 0:
            return self.base_lr
        return min(self.base_lr, (1 - self.momentum) / curvature)

    def make_optimizer(self, parameters: list[Any], steps: int) -> tuple[Optimizer, Scheduler]:
        """Return the optimiser and its schedule, for epochs of so many steps."""
        if self.optimizer == "adam":
            optimizer: Optimizer = Adam(parameters, lr=self.base_lr)
        else:
            optimizer = SGD(parameters, lr=self.base_lr, momentum=self.momentum)
        total = max(1, self.epochs * steps)
        warm = min(round(self.warmup * steps), total - 1)
        left = max(1, total - warm)
        after: dict[str, Schedule] = {
            "cosine": CosineDecay(left),
            "step": StepDecay(max(1, math.ceil(left / 3)), gamma=0.1),
            "constant": StepDecay(left, gamma=1.0),
        }
        schedule = after[self.schedule]
        return optimizer, Scheduler(optimizer, LinearWarmup(warm, schedule) if warm else schedule)


def n_held_out(n: int, share: float) -> int:
    """Return how many of n images are held out: a share, but where it is not 0 at least one, and never all."""
    return min(max(1, round(share * n)), n - 1) if share else 0


def hold_out(n: int, share: float, rng: Generator, groups: Any = None) -> tuple[Any, Any]:
    """Return the numbers of the images that are seen and of those that are held out, ascending, on the host.

    Images of one of the groups (n,) stay together.
    """
    held = CPU.xp.zeros(n, "bool")
    held[rng.permutation(n)[: n_held_out(n, share)]] = True
    if held.any():
        held = whole_groups(held, groups)
    return CPU.xp.flatnonzero(~held), CPU.xp.flatnonzero(held)
