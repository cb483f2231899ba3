"""Training end to end by stochastic gradient descent, filters on their spheres.

It minimises (1/n) sum w_i L(y_i, <W, features_i>) + l2/2 |W|^2 (Mairal 2016, arXiv
1605.06265, section 3.2) over augmented images; mirror images are averaged only where
accuracy is measured. The weights w_i have mean 1 over all images; a step takes the mean
over its batch, so that its gradient is unbiased.

On a GPU no step waits: values are checked when `step_log.py` reads them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from tinygrad_ckn.backend import NDArray, backend_of, to_numpy, xp_of
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.grad_mode import no_grad
from tinygrad_ckn.models.learning.best_weights import (
    AVERAGE,
    OPTIMIZER,
    STEPS,
    BatchState,
    BestWeights,
    FineTuningState,
)
from tinygrad_ckn.models.learning.callbacks import StopTraining
from tinygrad_ckn.models.learning.finetuning_options import FineTuning
from tinygrad_ckn.models.learning.learning_rate import learning_rate
from tinygrad_ckn.models.learning.mixup import mix
from tinygrad_ckn.models.learning.nonfinite import check_finite_arrays, raise_first_nonfinite
from tinygrad_ckn.models.learning.objective import LabelledImages, Objective, Target
from tinygrad_ckn.models.learning.progress import Progress, no_report
from tinygrad_ckn.models.learning.state import (
    Course,
    SavedState,
    Stage,
    TrainingState,
    generator_state,
    set_generator,
)
from tinygrad_ckn.models.learning.step_log import StepLog
from tinygrad_ckn.models.linear.calibration import USUAL, fit_temperature
from tinygrad_ckn.models.linear.logistic import LinearFit
from tinygrad_ckn.models.linear.problem import LOSSES, Loss
from tinygrad_ckn.models.network_base import NetworkBase
from tinygrad_ckn.optim import MovingAverage, clip_grad_norm
from tinygrad_ckn.tensor import Tensor


def fine_tune(
    model: NetworkBase,
    training: LabelledImages,
    validation: LabelledImages,
    descent: FineTuning,
    *,
    loss: Loss,
    solve: Callable[[], LinearFit],
    from_zero: bool = False,
    held_out: NDArray[Any] | None = None,
    course: Course,
    report: Callable[[Progress], None] = no_report,
) -> None:
    """Train all parameters that require grad, each constrained one on its sphere.

    Parameters
    ----------
    model : Network
        Left in training mode.
    training, validation : LabelledImages
        The validation set may be empty.
    descent : FineTuning
        The options.
    loss : str
        As for `fit_linear`.
    solve : callable
        Fits the classifier to the training images; called at the start, and as `descent`
        says.
    from_zero : bool, default False
        Set the classifier to zero after the first fit, unless alternating.
    held_out : array
        Indices of the validation images, recorded for resuming.
    course : Course
        With the generator of the order of the images and of augmentation, and the state
        to resume from, if any.
    report : callable, optional
        Called with each `Progress` event.

    Raises
    ------
    GradientError
        If the loss or a gradient becomes NaN or infinite; the best parameters are then
        restored.

    Warns
    -----
    TrainingWarning
        If the validation accuracy falls by more than 2 points below the best.
    """
    saved = course.descent
    if saved is None:
        # The l2 for features of mean squared norm 1, converted to the actual features.
        l2 = descent.l2 * solve().scale ** 2
        if from_zero and not descent.alternating:
            for parameter in model.classifier.parameters():
                parameter.data = parameter.data * 0
            # At a classifier of zeros the loss is flat in the filters, so its curvature
            # does not tell which rate they will bear.
            descent = replace(descent, lr=descent.base_lr)
    else:
        l2 = float(saved.record["l2"])
        descent = replace(descent, lr=float(saved.record["base_lr"]))
    objective = Objective(model, loss, l2, descent.label_smoothing)
    loop = _Loop(objective, training, validation, descent, from_zero, held_out, course, report)
    if saved is not None:
        loop.resume(saved)
    loop.run(solve)


class _Loop:
    """The epochs of one descent."""

    def __init__(
        self,
        objective: Objective,
        training: LabelledImages,
        validation: LabelledImages,
        descent: FineTuning,
        from_zero: bool,
        held_out: NDArray[Any] | None,
        course: Course,
        report: Callable[[Progress], None],
    ) -> None:
        self.objective = objective
        self.model = model = objective.model
        self.training = training
        self.validation = validation
        self.descent = descent
        self.from_zero = from_zero
        self.held_out = np.arange(0) if held_out is None else held_out
        self.course = course
        self.rng = course.rng
        self.report = report
        self.steps = math.ceil(len(training.images) / descent.batch_size)
        fixed = {id(p) for i in descent.freeze for p in model.layers[i - 1].parameters()}
        if descent.alternating:
            fixed |= {id(p) for p in model.classifier.parameters()}
        parameters = [p for p in model.parameters() if p.requires_grad and id(p) not in fixed]
        if descent.lr is None:
            lr = learning_rate(objective, parameters, training, descent)
            descent = replace(descent, lr=lr)
        self.lr = descent.base_lr
        self.optimizer, self.scheduler = descent.make_optimizer(parameters, self.steps)
        self.average = None if descent.ema is None else MovingAverage(parameters, descent.ema)
        self.validates = len(validation.images) > 0
        self.best = BestWeights(model)
        # Epochs done, None before the start, and the state of an interrupted one.
        self.epoch: int | None = None
        self.interrupted: SavedState | None = None

    def resume(self, saved: SavedState) -> None:
        """Continue from a saved state."""
        self.optimizer.load_state_dict({"lr": saved.record["lr"], **saved.named(OPTIMIZER)})
        self.scheduler.load_state_dict(saved.record["scheduler"])
        self.best.resume(saved)
        if self.average is not None:
            self.average.load_state_dict(saved.named(AVERAGE))
        self.epoch = int(saved.record["epoch"])
        self.interrupted = saved if saved.stage == "batch" else None

    def run(self, solve: Callable[[], LinearFit]) -> None:
        """Train until the last epoch or early stopping, then restore the best parameters."""
        with suppress(StopTraining):
            self._run_epochs(solve)
        self.best.restore()
        if self.descent.epochs:
            accuracy = {"validation_accuracy": self.best.accuracy} if self.validates else {}
            # Nothing is left to stop.
            with suppress(StopTraining):
                self.report(Progress("kept", self.best.epoch, self.epoch or 0, accuracy))

    def _run_epochs(self, solve: Callable[[], LinearFit]) -> None:
        """Train until the last epoch, or until one is not better than those before."""
        descent = self.descent
        refit_every = 1 if descent.alternating else descent.refit_classifier_every
        if self.epoch is None:
            self._finish_epoch(0, {"lr": self.lr} | self._validate())
        while (done := self.epoch or 0) < descent.epochs and not self._is_stale(done):
            epoch = done + 1
            values, batch = self._run_epoch(epoch)
            with self.best.restoring_on_failure(f"epoch {epoch}", batch, self.lr):
                # After the last epoch a refit only matters for the validation.
                last = epoch == descent.epochs
                if refit_every and epoch % refit_every == 0 and (not last or self.validates):
                    solve()
                if not self.validates:
                    raise_first_nonfinite(self.model, batch)
            with self._averaged():
                with self.best.restoring_on_failure(f"epoch {epoch}", batch, self.lr):
                    values |= self._validate()
                self._finish_epoch(epoch, values)

    def _is_stale(self, epoch: int) -> bool:
        """Return whether the last epochs, as many as `patience` says, were no better."""
        patience = self.descent.patience
        return patience is not None and epoch - self.best.epoch >= patience

    def _averaged(self) -> AbstractContextManager[None]:
        """Give the model the moving average of its parameters, if there is one."""
        return nullcontext() if self.average is None else self.average.applied()

    def _run_epoch(self, epoch: int) -> tuple[dict[str, float], NDArray[Any]]:
        """Take one pass over the training images; return its measurements and last batch."""
        descent = self.descent
        images = self.training.images
        self.model.train()
        log = StepLog(list(self.model.parameters()), images, descent.batch_size)
        order, generator, first = self._order(log)
        batch = images[:0]
        for step in range(first, self.steps):
            chosen = order[step * descent.batch_size : (step + 1) * descent.batch_size]
            batch, loss = self._take_batch(epoch, step, chosen, log)
            self.scheduler.step()
            done = (epoch - 1) * self.steps + step + 1
            values: dict[str, float] = {"epoch": epoch}
            if loss is not None:
                values["loss"] = loss
            state = self._state("batch", epoch - 1, step + 1, BatchState(generator, log.steps))
            self.report(Progress("batch", done, descent.epochs * self.steps, values, state))
        if not len(batch):
            # The epoch was interrupted after its last batch.
            batch = images[order[(self.steps - 1) * descent.batch_size :]]
        measured = {"loss": log.loss, "train_accuracy": log.accuracy, "lr": self.optimizer.lr}
        return measured, batch

    def _order(self, log: StepLog) -> tuple[NDArray[Any], Mapping[str, Any], int]:
        """Return the order of the images in an epoch, and the number of batches done.

        Between them is the state of the generator from which the order was drawn.
        """
        images = self.training.images
        saved = self.interrupted
        self.interrupted = None
        if saved is not None:
            set_generator(self.rng, saved.record["epoch_generator"], saved.source)
        generator = generator_state(self.rng)
        order = xp_of(images).asarray(self.rng.permutation(len(images)))
        if saved is None:
            return order, generator, 0
        set_generator(self.rng, saved.record["generator"], saved.source)
        log.resume(saved.arrays[STEPS])
        return order, generator, int(saved.record["done"])

    def _take_batch(
        self, epoch: int, step: int, chosen: NDArray[Any], log: StepLog
    ) -> tuple[NDArray[Any], float | None]:
        """Take a step on the chosen images; return them, augmented, and the objective."""
        images, labels, weights = self.training
        batch = images[chosen]
        if self.descent.augment is not None:
            batch = self.descent.augment(batch, self.rng)
        target = Target(labels[chosen], None if weights is None else weights[chosen])
        targets: tuple[Target, ...] = (target,)
        if self.descent.mixup is not None:
            batch, targets = mix(batch, target, self.descent.mixup, self.rng)
        with self.best.restoring_on_failure(f"epoch {epoch}, batch {step + 1}", batch, self.lr):
            value, hits = self._step(batch, *targets)
            return batch, log.record(step, value, hits)

    def _step(self, batch: NDArray[Any], *targets: Target) -> tuple[NDArray[Any], NDArray[Any]]:
        """Take a step; return the objective before it and the number of hits, as arrays."""
        # On a GPU these checks would wait for it.
        checked = not backend_of(batch).asynchronous
        objective, scores = self.objective(batch, *targets)
        if checked and not math.isfinite(objective.item()):
            raise_first_nonfinite(self.model, batch)
            raise GradientError("first in the loss")
        self.model.zero_grad()
        objective.backward()
        if checked:
            check_finite_arrays(
                (f"the gradient of {name}", p.grad)
                for name, p in self.model.named_parameters()
                if p.grad is not None
            )
        if self.descent.clip_norm is not None:
            clip_grad_norm(self.optimizer.params, self.descent.clip_norm)
        self.optimizer.step()
        if checked:
            check_finite_arrays(self.model.named_parameters())
        if self.average is not None:
            self.average.update()
        hits = targets[0].hits(scores.data)
        for target in targets[1:]:
            hits = hits + target.hits(scores.data)
        return objective.data, hits

    def _validate(self) -> dict[str, float]:
        """Return accuracy and loss on the validation set, if there is one."""
        if not self.validates:
            return {}
        model = self.model
        images, labels, weights = self.validation
        scores = model._test_scores(images)
        with no_grad():
            loss = LOSSES[self.objective.loss](Tensor.wrap(scores), labels, weights).item()
        # Checkpoints are calibrated, too.
        usual = USUAL[self.objective.loss]
        model.temperature = fit_temperature(scores, labels, weights, usual=usual)
        hits = to_numpy(scores.argmax(axis=1) == labels)
        accuracy = float(np.average(hits, weights=None if weights is None else to_numpy(weights)))
        return {"validation_accuracy": accuracy, "validation_loss": loss}

    def _finish_epoch(self, epoch: int, values: dict[str, float]) -> None:
        """Update the best weights after an epoch (0: the start), report, and warn of a fall."""
        self.epoch = epoch
        best = self.best
        falls = False
        if self.validates:
            accuracy = values["validation_accuracy"]
            best.update(epoch, accuracy, values["validation_loss"])
            # A classifier of zeros predicts class 0 for all images, which may often be right.
            if not (self.from_zero and best.epoch == 0):
                falls = best.begins_to_fall(accuracy)
        else:
            best.save(epoch)
        phase: Literal["epoch", "start"] = "epoch" if epoch else "start"
        state = self._state(phase, epoch, epoch)
        self.report(Progress(phase, epoch, self.descent.epochs, values, state))
        if falls:
            best.warn_of_fall(epoch, values["validation_accuracy"], self.lr)

    def _state(
        self, stage: Stage, epoch: int, done: int, batches: BatchState | None = None
    ) -> TrainingState:
        """Return the state after some epochs, and some batches of the next one."""
        descent = FineTuningState(
            epoch=epoch,
            epochs=self.descent.epochs,
            best=self.best,
            l2=self.objective.l2,
            lr=self.lr,
            optimizer=self.optimizer,
            scheduler=self.scheduler,
            held_out=self.held_out,
            batches=batches,
            average=self.average,
        )
        return self.course.state(stage, done, descent)
