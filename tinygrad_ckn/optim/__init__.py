"""Optimisers, schedules, moving averages of parameters, clipping of gradients."""

from tinygrad_ckn.optim.adam import Adam, AdamW
from tinygrad_ckn.optim.clipping import clip_grad_norm
from tinygrad_ckn.optim.lbfgs import LBFGS, LBFGSResult
from tinygrad_ckn.optim.moving_average import MovingAverage
from tinygrad_ckn.optim.optimizer import Optimizer
from tinygrad_ckn.optim.schedules import CosineDecay, LinearWarmup, Schedule, Scheduler, StepDecay
from tinygrad_ckn.optim.sgd import SGD

# PyTorch's name
clip_grad_norm_ = clip_grad_norm

__all__ = [
    "LBFGS",
    "SGD",
    "Adam",
    "AdamW",
    "CosineDecay",
    "LBFGSResult",
    "LinearWarmup",
    "MovingAverage",
    "Optimizer",
    "Schedule",
    "Scheduler",
    "StepDecay",
    "clip_grad_norm",
    "clip_grad_norm_",
]


def __dir__() -> list[str]:
    return sorted(__all__)
