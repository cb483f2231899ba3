"""Options of a training that `train` and `compare` share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from tinygrad_ckn.cli.common import DATA_HELP
from tinygrad_ckn.data import AUGMENTATIONS
from tinygrad_ckn.models import FineTuning
from tinygrad_ckn.models.linear.logistic import LOSSES
from tinygrad_ckn.models.preprocessing.chain import NAMES

DESCENT = "Supervised training"

Data: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME|PATH", help=f"What to learn: {DATA_HELP}.")
]
Preprocess: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"What images go through first: {', '.join(NAMES)} or none; by default local_whitening for cifar10, "
        "none otherwise.",
    ),
]
Mirror: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="features|scores|none",
        help="What is the mean over each image and its mirror image, left to right; by default the features for "
        "cifar10. scores takes half the time to fit.",
    ),
]
Loss: TypeAlias = Annotated[str, typer.Option(metavar="|".join(LOSSES), help="Of the classifier.")]
Patches: TypeAlias = Annotated[
    int, typer.Option(help="Patches for k-means in each layer, at most.")
]
Iterations: TypeAlias = Annotated[int, typer.Option(help="Of k-means, at most.")]
Epochs: TypeAlias = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=DESCENT,
        help=f"At most so many times through the images; default {FineTuning.epochs}.",
    ),
]
BatchSize: TypeAlias = Annotated[
    int | None,
    typer.Option(rich_help_panel=DESCENT, help=f"Images a step; default {FineTuning.batch_size}."),
]
Optimizer: TypeAlias = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=DESCENT, metavar="sgd|adam", help=f"Default {FineTuning.optimizer}."
    ),
]
Lr: TypeAlias = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=DESCENT,
        help="Learning rate after the warm-up; default 0.01 (adam: 0.001), less where the loss is too curved.",
    ),
]
Warmup: TypeAlias = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=DESCENT,
        help=f"Epochs in which the rate rises from 0; default {FineTuning.warmup:g}.",
    ),
]
Schedule: TypeAlias = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=DESCENT,
        metavar="cosine|step|constant",
        help=f"Of the rate from there on; default {FineTuning.schedule}.",
    ),
]
Alternating: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--alternating/--joint",
        rich_help_panel=DESCENT,
        help="Refit the classifier before each epoch and train the filters alone; default joint.",
    ),
]
ResolveEvery: TypeAlias = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=DESCENT,
        help="Epochs after which the classifier is solved anew; by default never.",
    ),
]
Validation: TypeAlias = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=DESCENT,
        help=f"Share of the training images held out to keep the best epoch; default {FineTuning.validation:g}.",
    ),
]
Patience: TypeAlias = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=DESCENT,
        help="Epochs without a better one after which it ends; by default it goes on.",
    ),
]
Augment: TypeAlias = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=DESCENT,
        metavar="|".join(AUGMENTATIONS),
        help="Shift each image by up to 4 pixels, mirror it with probability 1/2.",
    ),
]
Seed: TypeAlias = Annotated[
    int, typer.Option(help="Of everything random: the same seed gives the same model.")
]
