"""The kernel trick: two tangled spirals, separated by a line in feature space.

    pip install -e '.[sklearn,plots]'
    python examples/kernel_trick.py [FILE]

The picture is written to FILE, kernel_trick.png by default.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.svm import SVC

from tinygrad_ckn.models.kernels import Exponential


def spirals(n: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return noisy points (n, 2) on two arms around the origin, and labels 0 and 1."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    # position along the arm
    turn = 3 * np.pi * np.sqrt(rng.uniform(0.05, 1, n))
    angle = turn + np.pi * labels
    points = turn[:, None] / 10 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points + rng.normal(0, 0.02, (n, 2)), labels


def lifted(points: NDArray[Any]) -> NDArray[Any]:
    """Return the points with a third coordinate 1.

    The kernel compares directions only, and these differ for different points.
    """
    return np.column_stack([points, np.ones(len(points))])


def draw(axes: Any, model: SVC, points: NDArray[Any], labels: NDArray[Any], title: str) -> None:
    """Draw the points on a plane coloured by the model's decision."""
    side = np.linspace(-1.1, 1.1, 200)
    plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    decision = model.decision_function(lifted(plane)).reshape(200, 200)
    axes.contourf(side, side, decision > 0, levels=1, colors=["#cfe0f3", "#f7d8c4"])
    axes.contour(side, side, decision, levels=[0], colors="black", linewidths=1)
    axes.scatter(*points.T, c=np.where(labels, "#c2571a", "#1f6fb4"), s=8)
    axes.set(title=title, xticks=[], yticks=[], aspect="equal")


def main(path: Path) -> None:
    """Fit a linear and a kernel SVM to the same points, print and draw their accuracy."""
    points, labels = spirals(300, seed=0)
    new_points, new_labels = spirals(300, seed=1)
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, kernel in zip(figure.subplots(1, 2), ["linear", Exponential(sigma=0.1)], strict=True):
        model = SVC(kernel=kernel, C=100).fit(lifted(points), labels)
        accuracy = model.score(lifted(new_points), new_labels)
        print(f"{kernel}: {accuracy:.0%} of new points")
        draw(axes, model, points, labels, f"{kernel}: {accuracy:.0%}")
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
    print(f"picture in {path}")


if __name__ == "__main__":
    summary, *_ = str(__doc__).splitlines()
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument(
        "path",
        type=Path,
        nargs="?",
        default="kernel_trick.png",
        help="PNG file to write (default: %(default)s)",
    )
    path = parser.parse_args().path
    if path.is_dir() or not path.parent.is_dir():
        parser.error(
            f"argument path: expected a file to write, in a folder that exists, got {path}"
        )
    main(path)
