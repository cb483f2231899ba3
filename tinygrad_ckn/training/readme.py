"""README.txt in the folder of a run: what each file is."""

from __future__ import annotations

from pathlib import Path

from tinygrad_ckn.files import atomic_write

README = "README.txt"
TEXT = """\
This folder holds one training run of tinygrad-ckn.

report.html        All results on one page, for a browser; needs no network.
model.safetensors  The trained network. In Python:
                   from tinygrad_ckn.training import load_model; load_model("model.safetensors")
config.json        Options, description of the data, architecture, versions. "fingerprints"
                   are 8 characters per image, so that evaluate finds the test images again.
metrics.jsonl      A line of JSON for each phase and epoch, as it happened; the last line has
                   the test accuracy, the confusion matrix (row: true class, column: predicted
                   class), seconds by phase and peak memory in bytes.
test.json          What the report shows of the test images: "reliability", a row for each bin
                   of probability (low, high, images, mean probability, accuracy);
                   "mistakes", at most 24, the most confident first, with a picture of at most
                   64 x 64 pixels (bytes in base64, rows of pixels); "nystrom_errors", the share
                   of the kernel that each layer's filters miss on patches of test images;
                   "peak_memory", bytes by the end of each phase.
metrics.csv        With --csv: a row for each epoch.
tensorboard        With --tensorboard: the same for `tensorboard --logdir tensorboard`.
filters.png        The filters of the first layer, each scaled to the range of its values.
trace.json         With --profile: the time of each operation, for chrome://tracing.

Files that are not here were not asked for, or a package that draws them was missing.
While a training runs, or if it was interrupted:
checkpoint.safetensors  The best epoch so far; load_model reads it.
last.safetensors        The last state, from which `tinygrad-ckn train --resume FOLDER` goes on.

tinygrad-ckn evaluate FOLDER       measures the model again
tinygrad-ckn predict FOLDER FILES  predicts the classes of images
tinygrad-ckn report FOLDER ...     makes report.html again, or one page for several runs
"""


def write_readme(folder: Path) -> None:
    """Write README.txt into the folder of a run."""
    atomic_write(folder / README, TEXT.encode())
