"""Everything at once by stochastic gradient descent: the classifier, and the filters on their spheres.

Minimises (1/n) sum L(y_i, <W, features_i>) + l2/2 |W|^2 (Mairal 2016, arXiv 1605.06265, section 3.2), of images
as they are, or as `augment` makes them; mirror images are looked at where accuracy is measured.

No step waits for a GPU: there nothing is looked at before `measured.py` reads what the steps gave.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tinygrad_ckn.backend import Generator, backend_of, to_numpy, xp_of
from tinygrad_ckn.errors import DataError, GradientError, LinearAlgebraError
from tinygrad_ckn.graph import raw
from tinygrad_ckn.models.classifier import LOSSES, LinearFit
from tinygrad_ckn.models.descent import Descent
from tinygrad_ckn.models.encoding import in_blocks
from tinygrad_ckn.models.measured import Measured
from tinygrad_ckn.models.progress import Progress, quiet
from tinygrad_ckn.modes import no_grad
from tinygrad_ckn.optim import Optimizer
from tinygrad_ckn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_ckn.models.network import Network


class _Good:
    """The parameters to go back to: those of the best epoch, or without images held out of the last one."""

    def __init__(self, model: Network) -> None:
        self.model = model
        self.measure = -math.inf, -math.inf
        self.keep(0)

    def keep(self, epoch: int) -> None:
        self.epoch = epoch
        self.arrays = [(p, p.data.copy()) for p in self.model.parameters()]

    def look(self, epoch: int, accuracy: float, loss: float) -> None:
        if (accuracy, -loss) > self.measure:
            self.measure = accuracy, -loss
            self.keep(epoch)

    def restore(self) -> None:
        for parameter, array in self.arrays:
            parameter.data = array

    @contextmanager
    def gone_back_to(self, when: str, batch: Any, lr: float) -> Iterator[None]:
        """Where NaN, infinity or what leads to them is met, restore the parameters and say when and where it was."""
        try:
            yield
        except (DataError, GradientError, LinearAlgebraError) as error:
            first = error if isinstance(error, GradientError) else f"{_first(self.model, batch)}: {error}"
            self.restore()
            raise GradientError(
                f"fit: expected a finite loss and gradient, got NaN or infinity in {when} ({first}); "
                f"lower lr ({lr:g}); the parameters are those of epoch {self.epoch}"
            ) from error


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
        measured = Measured(list(model.parameters()), images, descent.batch_size)
        for step in range(steps):
            chosen = order[step * descent.batch_size : (step + 1) * descent.batch_size]
            batch = images[chosen] if descent.augment is None else descent.augment(images[chosen], rng)
            with good.gone_back_to(f"epoch {epoch}, batch {step + 1}", batch, descent.lr):
                objective, scores = _step(model, batch, labels[chosen], loss, l2, optimizer)
                value = measured.put(step, objective, (scores.argmax(axis=1) == labels[chosen]).sum())
            schedule.step()
            done = (epoch - 1) * steps + step + 1
            told: dict[str, float] = {"epoch": epoch} if value is None else {"epoch": epoch, "loss": value}
            report(Progress("batch", done, descent.epochs * steps, told))
        values = {"loss": measured.loss, "train_accuracy": measured.accuracy, "lr": optimizer.lr}
        with good.gone_back_to(f"epoch {epoch}", batch, descent.lr):
            if every and epoch % every == 0 and (epoch < descent.epochs or len(unseen[0])):
                solve()  # at the end only for the sake of what is measured
            if len(unseen[0]):
                values["validation_accuracy"], values["validation_loss"] = _validate(model, *unseen, loss)
            else:
                _look(model, batch)
        if len(unseen[0]):
            good.look(epoch, values["validation_accuracy"], values["validation_loss"])
        else:
            good.keep(epoch)
        report(Progress("epoch", epoch, descent.epochs, values))
        if descent.patience is not None and epoch - good.epoch >= descent.patience:
            break
    good.restore()


def _step(model: Network, batch: Any, labels: Any, loss: str, l2: float, optimizer: Optimizer) -> tuple[Any, Any]:
    """Take a step; return the objective before it and the scores, as arrays."""
    watched = not backend_of(batch).ahead
    scores = model.classifier(model.flat(Tensor.wrap(batch)))
    weight = model.classifier.weight
    objective = LOSSES[loss](scores, labels) + (0.5 * l2) * (weight * weight).sum()
    if watched and not math.isfinite(objective.item()):
        _look(model, batch)
        raise GradientError("first in the loss")
    model.zero_grad()
    objective.backward()
    if watched:
        named = model.named_parameters()
        _check_finite((f"the gradient of {name}", p.grad) for name, p in named if p.grad is not None)
    optimizer.step()
    if watched:
        _check_finite(model.named_parameters())
    return objective.data, scores.data


def _check_finite(arrays: Iterable[tuple[str, Any]]) -> None:
    """Raise a GradientError with the name of the first array in which there is NaN or infinity."""
    for name, x in arrays:
        array = raw(x)
        if not bool(xp_of(array).isfinite(array).all()):
            raise GradientError(f"first in {name}")


def _stages(model: Network, batch: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is computed from a batch on the way to the loss; maps squared, as the classifier's fit needs them."""
    x = batch
    yield "the images of the batch", x
    for i, layer in enumerate(model.layers):
        try:
            x = layer(x)
        except LinearAlgebraError as error:
            raise GradientError(f"first in the factor of layers.{i}") from error
        yield f"the map of layers.{i}", x * x
    yield "the classifier's scores", model.classifier(x.reshape((len(batch), -1)))


def _look(model: Network, batch: Any) -> None:
    """Raise a GradientError with the name of what is the first on the way to the loss to overflow or to be NaN."""
    with no_grad():
        _check_finite(_stages(model, batch))


def _first(model: Network, batch: Any) -> str:
    """Return what `_look` says; where it finds nothing, it is the classifier's fit that failed."""
    try:
        _look(model, batch)
    except GradientError as found:
        return str(found)
    return "first in the classifier"


def _validate(model: Network, images: Any, labels: Any, loss: str) -> tuple[float, float]:
    """Return accuracy and loss of the network as it is on images held out."""
    scores = in_blocks(model, lambda x: model.classifier(model.scored(x)), images, (model.n_classes,))
    with no_grad():
        value = LOSSES[loss](Tensor.wrap(scores), labels).item()
    return float(to_numpy(scores.argmax(axis=1) == labels).mean()), value
