"""Everything at once by stochastic gradient descent: the classifier, and the filters on their spheres.

Minimises (1/n) sum L(y_i, <W, features_i>) + l2/2 |W|^2 (Mairal 2016, arXiv 1605.06265, section 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinygrad_ckn.backend import Generator, is_whole, to_numpy, xp_of
from tinygrad_ckn.errors import ConfigError, GradientError, LinearAlgebraError
from tinygrad_ckn.graph import raw
from tinygrad_ckn.models.classifier import LOSSES, LinearFit
from tinygrad_ckn.models.encoding import in_blocks
from tinygrad_ckn.models.progress import Progress, quiet
from tinygrad_ckn.modes import no_grad
from tinygrad_ckn.nn._checks import number
from tinygrad_ckn.optim import SGD, Adam, CosineDecay, LinearWarmup, Optimizer, Schedule, Scheduler, StepDecay
from tinygrad_ckn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_ckn.models.network import Network

OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("cosine", "step", "constant")
SCHEMES = ("joint", "alternating")


@dataclass(frozen=True)
class Descent:
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
        Learning rate after the warm-up.
    momentum
        Of SGD.
    warmup
        Epochs, or a part of one, in which the rate rises from 0.
    schedule
        From there on: "cosine" to 0, "step" (a tenth after each third of the epochs) or "constant".
    scheme
        "joint": classifier and filters descend together; "alternating": the classifier is solved by L-BFGS before each
        epoch, in which the filters descend alone (Mairal 2016).
    resolve_every
        Of the joint scheme: epochs after which the classifier is solved by L-BFGS; None: never.
    l2
        Regularisation, in the terms of `fit_linear`: for features of mean squared norm 1.
    augment
        Makes the images that the descent is shown of those of a batch and a generator; as
        `tinygrad_ckn.data.crop_flip`.
    validation
        Share of the images held out, on which accuracy is measured before the first and after each epoch; the
        parameters of the best are kept. 0: none is held out, and the last parameters are kept.
    patience
        Epochs without a better accuracy after which the descent ends; None: it goes on.

    Raises
    ------
    ConfigError
        If a value is out of its range.

    Examples
    --------
    >>> Descent(epochs=5, optimizer="adam", lr=1e-3).schedule
    'cosine'
    """

    epochs: int = 10
    batch_size: int = 128
    optimizer: str = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    warmup: float = 0.5
    schedule: str = "cosine"
    scheme: str = "joint"
    resolve_every: int | None = None
    l2: float = 1e-5
    augment: Callable[[Any, Generator], Any] | None = None
    validation: float = 0.1
    patience: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("epochs", 0), ("batch_size", 1), ("resolve_every", 1), ("patience", 1)):
            value = getattr(self, name)
            if not is_whole(value, least) and not (value is None and name in ("resolve_every", "patience")):
                raise ConfigError(f"Descent: argument {name} expected a whole number >= {least}, got {value!r}")
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("scheme", SCHEMES)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"Descent: argument {name} expected one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        number("Descent", "lr", self.lr, "a finite number > 0", lambda value: 0 < value < math.inf)
        for name in ("warmup", "l2"):
            number("Descent", name, getattr(self, name), "a finite number >= 0", lambda value: 0 <= value < math.inf)
        for name in ("momentum", "validation"):
            number("Descent", name, getattr(self, name), "a number in [0, 1)", lambda value: 0 <= value < 1)
        if not (self.augment is None or callable(self.augment)):
            raise ConfigError(
                f"Descent: argument augment expected a function of images and a generator or None, got {self.augment!r}"
            )
        if self.resolve_every is not None and self.scheme == "alternating":
            raise ConfigError(
                "Descent: argument resolve_every expected None with scheme 'alternating', which solves the classifier "
                f"before each epoch, got {self.resolve_every}"
            )
        if self.patience is not None and not self.validation:
            raise ConfigError(
                f"Descent: argument patience expected None without images held out, got {self.patience}; "
                "give a validation share > 0"
            )

    def optimizer_of(self, parameters: list[Any], steps: int) -> tuple[Optimizer, Scheduler]:
        """Return the optimiser and its schedule, for epochs of so many steps."""
        if self.optimizer == "adam":
            optimizer: Optimizer = Adam(parameters, lr=self.lr)
        else:
            optimizer = SGD(parameters, lr=self.lr, momentum=self.momentum)
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


def hold_out(n: int, share: float, rng: Generator) -> tuple[Any, Any]:
    """Return the numbers of the images that are seen and of those that are held out, ascending, on the host."""
    order, held = rng.permutation(n), n_held_out(n, share)
    order[:held].sort()
    order[held:].sort()
    return order[held:], order[:held]


class _Good:
    """The parameters to go back to: those of the best epoch, or without images held out of the last one."""

    def __init__(self, model: Network) -> None:
        self.model = model
        self.epoch, self.measure = 0, (-math.inf, -math.inf)
        self.keep()

    def keep(self) -> None:
        self.arrays = [(p, p.data.copy()) for p in self.model.parameters()]

    def look(self, epoch: int, accuracy: float, loss: float) -> None:
        if (accuracy, -loss) > self.measure:
            self.epoch, self.measure = epoch, (accuracy, -loss)
            self.keep()

    def restore(self) -> None:
        for parameter, array in self.arrays:
            parameter.data = array


def descend(
    model: Network,
    seen: tuple[Any, Any],
    unseen: tuple[Any, Any],
    descent: Descent,
    *,
    loss: str,
    solve: Callable[[], LinearFit],
    from_zero: bool = False,
    rng: Generator,
    report: Callable[[Progress], None] = quiet,
) -> None:
    """Train all parameters that require grad, each constrained one on its sphere.

    Parameters
    ----------
    model
        Left in training mode.
    seen, unseen
        Images after preprocessing, and labels: to train on, and held out.
    solve
        Fits the classifier on what is seen; called at the start, and as the scheme says.
    from_zero
        Whether the classifier is set to zero after the first call, where it descends too.

    Raises
    ------
    GradientError
        If the loss or a gradient becomes NaN or infinite; the parameters are then those to go back to.
    """
    images, labels = seen
    l2 = descent.l2 * solve().scale ** 2  # on the raw weights
    if from_zero and descent.scheme == "joint":
        for parameter in model.classifier.parameters():
            parameter.data = parameter.data * 0
    steps = math.ceil(len(images) / descent.batch_size)
    alternating = descent.scheme == "alternating"
    fixed = {id(p) for p in model.classifier.parameters()} if alternating else set()
    parameters = [p for p in model.parameters() if p.requires_grad and id(p) not in fixed]
    optimizer, schedule = descent.optimizer_of(parameters, steps)
    every = 1 if alternating else descent.resolve_every
    good = _Good(model)
    if len(unseen[0]):
        good.look(0, *_validate(model, *unseen, loss))
    for epoch in range(1, descent.epochs + 1):
        model.train()
        order = xp_of(images).asarray(rng.permutation(len(images)))
        total, hits = 0.0, 0
        for step in range(steps):
            chosen = order[step * descent.batch_size : (step + 1) * descent.batch_size]
            batch = images[chosen] if descent.augment is None else descent.augment(images[chosen], rng)
            try:
                value, scores = _step(model, batch, labels[chosen], loss, l2, optimizer)
            except (GradientError, LinearAlgebraError) as error:
                good.restore()
                raise GradientError(
                    f"fit: expected a finite loss and gradient, got NaN or infinity in epoch {epoch}, batch {step + 1} "
                    f"({error}); lower lr ({descent.lr:g}); the parameters are those of epoch {good.epoch}"
                ) from error
            schedule.step()
            total += value * len(chosen)
            hits += int((scores.argmax(axis=1) == labels[chosen]).sum())
            done = (epoch - 1) * steps + step + 1
            report(Progress("batch", done, descent.epochs * steps, {"epoch": epoch, "loss": value}))
        values = {"loss": total / len(images), "train_accuracy": hits / len(images), "lr": optimizer.lr}
        if every and epoch % every == 0 and epoch < descent.epochs:
            solve()
        if len(unseen[0]):
            values["validation_accuracy"], values["validation_loss"] = _validate(model, *unseen, loss)
            good.look(epoch, values["validation_accuracy"], values["validation_loss"])
        else:
            good.look(epoch, epoch, 0)
        report(Progress("epoch", epoch, descent.epochs, values))
        if descent.patience is not None and epoch - good.epoch >= descent.patience:
            break
    good.restore()


def _step(model: Network, batch: Any, labels: Any, loss: str, l2: float, optimizer: Optimizer) -> tuple[float, Any]:
    """Take a step; return the objective before it and the scores."""
    scores = model.classifier(model.flat(Tensor.wrap(batch)))
    weight = model.classifier.weight
    objective = LOSSES[loss](scores, labels) + (0.5 * l2) * (weight * weight).sum()
    value = objective.item()
    if not math.isfinite(value):
        with no_grad():
            _check_finite(_stages(model, batch))
        raise GradientError("first in the loss")
    model.zero_grad()
    objective.backward()
    _check_finite((f"the gradient of {name}", p.grad) for name, p in model.named_parameters() if p.grad is not None)
    optimizer.step()
    _check_finite(model.named_parameters())
    return value, scores.data


def _check_finite(arrays: Iterable[tuple[str, Any]]) -> None:
    """Raise a GradientError with the name of the first array in which there is NaN or infinity."""
    for name, x in arrays:
        array = raw(x)
        if not bool(xp_of(array).isfinite(array).all()):
            raise GradientError(f"first in {name}")


def _stages(model: Network, batch: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is computed from a batch on the way to the loss."""
    x = batch
    yield "the images of the batch", x
    for i, layer in enumerate(model.layers):
        x = layer(x)
        yield f"the map of layers.{i}", x
    yield "the classifier's scores", model.classifier(x.reshape((len(batch), -1)))


def _validate(model: Network, images: Any, labels: Any, loss: str) -> tuple[float, float]:
    """Return accuracy and loss of the network as it is on images held out."""
    scores = in_blocks(model, lambda x: model.classifier(model.scored(x)), images, (model.n_classes,))
    with no_grad():
        value = LOSSES[loss](Tensor.wrap(scores), labels).item()
    return float(to_numpy(scores.argmax(axis=1) == labels).mean()), value
