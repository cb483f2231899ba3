"""Optimisers, schedules of their learning rate, and clipping of gradients."""

from tinygrad_ckn.optim.adam import Adam, AdamW
from tinygrad_ckn.optim.clipping import clip_grad_norm
from tinygrad_ckn.optim.lbfgs import LBFGS, LBFGSResult
from tinygrad_ckn.optim.optimizer import Optimizer
from tinygrad_ckn.optim.schedules import CosineDecay, LinearWarmup, Schedule, Scheduler, StepDecay
from tinygrad_ckn.optim.sgd import SGD

__all__ = [
    "LBFGS",
    "SGD",
    "Adam",
    "AdamW",
    "CosineDecay",
    "LBFGSResult",
    "LinearWarmup",
    "Optimizer",
    "Schedule",
    "Scheduler",
    "StepDecay",
    "clip_grad_norm",
]


def __dir__() -> list[str]:
    return sorted(__all__)
