"""Everything at once by stochastic gradient descent: the classifier, and the filters on their spheres.

Minimises (1/n) sum L(y_i, <W, features_i>) + l2/2 |W|^2 (Mairal 2016, arXiv 1605.06265,
section 3.2), of images as they are, or as `augment` makes them; mirror images are
looked at where accuracy is measured.

No step waits for a GPU: there nothing is looked at before `measured.py` reads what the
steps gave.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tinygrad_ckn.backend import CPU, Generator, backend_of, to_numpy, xp_of
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.grad_mode import no_grad
from tinygrad_ckn.models.batched import map_batches
from tinygrad_ckn.models.learning.best_weights import BestWeights, FineTuningState
from tinygrad_ckn.models.learning.curvature import largest_curvature
from tinygrad_ckn.models.learning.finetuning_options import FineTuning
from tinygrad_ckn.models.learning.nonfinite import check_finite_arrays, raise_first_nonfinite
from tinygrad_ckn.models.learning.progress import Progress, no_report
from tinygrad_ckn.models.learning.step_log import StepLog
from tinygrad_ckn.models.linear.logistic import LOSSES, LinearFit
from tinygrad_ckn.optim import Optimizer
from tinygrad_ckn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_ckn.models.network import Network

# Images, evenly taken from all, on which the largest learning rate is found.
_FOR_CURVATURE = 128


def fine_tune(
    model: Network,
    seen: tuple[Any, Any],
    unseen: tuple[Any, Any],
    descent: FineTuning,
    *,
    loss: str,
    solve: Callable[[], LinearFit],
    from_zero: bool = False,
    held_out: Any = (),
    rng: Generator,
    report: Callable[[Progress], None] = no_report,
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
    held_out
        Numbers of the images held out, for those who go on with this descent another time.

    Raises
    ------
    GradientError
        If the loss or a gradient becomes NaN or infinite; the parameters are then those
        to go back to.

    Warns
    -----
    TrainingWarning
        If the accuracy on what is held out falls by more than 2 points below the best.
    """
    # on the raw weights
    l2 = descent.l2 * solve().scale ** 2
    if from_zero and not descent.alternating:
        for parameter in model.classifier.parameters():
            parameter.data = parameter.data * 0
        # There the loss is flat in the filters, and says nothing of the rates that they
        # will bear.
        descent = replace(descent, lr=descent.base_lr)
    loop = _Loop(model, seen, unseen, descent, loss, l2, from_zero, held_out, rng, report)
    every = 1 if descent.alternating else descent.refit_classifier_every
    loop.tell(0, {"lr": loop.lr} | loop.validate())
    epoch = 0
    for epoch in range(1, descent.epochs + 1):
        values, batch = loop.run_epoch(epoch)
        with loop.best.restoring_on_failure(f"epoch {epoch}", batch, loop.lr):
            if every and epoch % every == 0 and (epoch < descent.epochs or loop.validates):
                # at the end only for the sake of what is measured
                solve()
            if not loop.validates:
                raise_first_nonfinite(model, batch)
            values |= loop.validate()
        loop.tell(epoch, values)
        if descent.patience is not None and epoch - loop.best.epoch >= descent.patience:
            break
    loop.best.restore()
    if epoch:
        measured = {"validation_accuracy": loop.best.accuracy} if loop.validates else {}
        report(Progress("kept", loop.best.epoch, epoch, measured))


class _Loop:
    """The epochs of one descent, with what goes on from one to the next."""

    def __init__(
        self,
        model: Network,
        seen: tuple[Any, Any],
        unseen: tuple[Any, Any],
        descent: FineTuning,
        loss: str,
        l2: float,
        from_zero: bool,
        held_out: Any,
        rng: Generator,
        report: Callable[[Progress], None],
    ) -> None:
        self.model, self.seen, self.unseen, self.descent = model, seen, unseen, descent
        self.loss, self.l2, self.held_out, self.rng, self.report = loss, l2, held_out, rng, report
        self.from_zero = from_zero
        self.steps = math.ceil(len(seen[0]) / descent.batch_size)
        fixed = {id(p) for p in model.classifier.parameters()} if descent.alternating else set()
        parameters = [p for p in model.parameters() if p.requires_grad and id(p) not in fixed]
        if descent.lr is None:
            descent = replace(
                descent, lr=_learning_rate(model, parameters, seen, descent, loss, l2)
            )
        self.lr = descent.base_lr
        self.optimizer, self.schedule = descent.make_optimizer(parameters, self.steps)
        self.validates = len(unseen[0]) > 0
        self.best = BestWeights(model)

    def run_epoch(self, epoch: int) -> tuple[dict[str, float], Any]:
        """Go through the images once; return what was measured on the way, and the last batch."""
        model, descent, (images, labels) = self.model, self.descent, self.seen
        model.train()
        order = xp_of(images).asarray(self.rng.permutation(len(images)))
        measured = StepLog(list(model.parameters()), images, descent.batch_size)
        for step in range(self.steps):
            chosen = order[step * descent.batch_size : (step + 1) * descent.batch_size]
            batch = (
                images[chosen]
                if descent.augment is None
                else descent.augment(images[chosen], self.rng)
            )
            with self.best.restoring_on_failure(f"epoch {epoch}, batch {step + 1}", batch, self.lr):
                objective, scores = _step(
                    model, batch, labels[chosen], self.loss, self.l2, self.optimizer
                )
                value = measured.put(
                    step, objective, (scores.argmax(axis=1) == labels[chosen]).sum()
                )
            self.schedule.step()
            done = (epoch - 1) * self.steps + step + 1
            told: dict[str, float] = (
                {"epoch": epoch} if value is None else {"epoch": epoch, "loss": value}
            )
            self.report(Progress("batch", done, descent.epochs * self.steps, told))
        return {
            "loss": measured.loss,
            "train_accuracy": measured.accuracy,
            "lr": self.optimizer.lr,
        }, batch

    def validate(self) -> dict[str, float]:
        """Return accuracy and loss on the images held out, if there are any."""
        if not self.validates:
            return {}
        accuracy, loss = _validate(self.model, *self.unseen, self.loss)
        return {"validation_accuracy": accuracy, "validation_loss": loss}

    def tell(self, epoch: int, values: dict[str, float]) -> None:
        """Keep the weights of an epoch, or of the start, if they are the best; report, and warn if they are bad."""
        best = self.best
        if self.validates:
            best.update(epoch, values["validation_accuracy"], values["validation_loss"])
        else:
            best.save(epoch)
        state = FineTuningState(
            epoch=epoch,
            epochs=self.descent.epochs,
            best_epoch=best.epoch,
            best_accuracy=best.accuracy,
            best_loss=best.loss,
            l2=self.l2,
            optimizer=self.optimizer,
            scheduler=self.schedule,
            rng=self.rng,
            held_out=self.held_out,
        )
        self.report(
            Progress("epoch" if epoch else "start", epoch, self.descent.epochs, values, state)
        )
        # A classifier of zeros takes each image for class 0, of which there may be many.
        if self.validates and not (self.from_zero and best.epoch == 0):
            best.warn_of_fall(epoch, values["validation_accuracy"], self.lr)


def _learning_rate(
    model: Network,
    parameters: list[Any],
    seen: tuple[Any, Any],
    descent: FineTuning,
    loss: str,
    l2: float,
) -> float:
    """Return the optimiser's usual rate, or less where the loss is so curved at the start that its steps would grow."""
    images, labels = seen
    n = len(images)
    size = min(n, max(_FOR_CURVATURE, descent.batch_size))
    chosen = xp_of(images).asarray(CPU.xp.arange(size) * n // size)
    batch, of_batch = images[chosen], labels[chosen]
    model.train()
    curvature = largest_curvature(
        lambda: _objective(model, batch, of_batch, loss, l2)[0], parameters
    )
    model.zero_grad()
    return descent.base_lr if not math.isfinite(curvature) else descent.stable_lr(curvature)


def _objective(
    model: Network, batch: Any, labels: Any, loss: str, l2: float
) -> tuple[Tensor, Tensor]:
    """Return the objective on a batch, and the scores."""
    scores = model.classifier(model.flat(Tensor.wrap(batch)))
    weight = model.classifier.weight
    return LOSSES[loss](scores, labels) + (0.5 * l2) * (weight * weight).sum(), scores


def _step(
    model: Network, batch: Any, labels: Any, loss: str, l2: float, optimizer: Optimizer
) -> tuple[Any, Any]:
    """Take a step; return the objective before it and the scores, as arrays."""
    watched = not backend_of(batch).asynchronous
    objective, scores = _objective(model, batch, labels, loss, l2)
    if watched and not math.isfinite(objective.item()):
        raise_first_nonfinite(model, batch)
        raise GradientError("first in the loss")
    model.zero_grad()
    objective.backward()
    if watched:
        named = model.named_parameters()
        check_finite_arrays(
            (f"the gradient of {name}", p.grad) for name, p in named if p.grad is not None
        )
    optimizer.step()
    if watched:
        check_finite_arrays(model.named_parameters())
    return objective.data, scores.data


def _validate(model: Network, images: Any, labels: Any, loss: str) -> tuple[float, float]:
    """Return accuracy and loss of the network as it is on images held out."""
    scores = map_batches(
        model, lambda x: model.classifier(model.scored(x)), images, (model.n_classes,)
    )
    with no_grad():
        value = LOSSES[loss](Tensor.wrap(scores), labels).item()
    return float(to_numpy(scores.argmax(axis=1) == labels).mean()), value
