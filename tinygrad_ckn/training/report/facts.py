"""The content of a report on a run: numbers, charts and pictures from the run's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_ckn.errors import CKNError, DataError
from tinygrad_ckn.models import CKN, CNN
from tinygrad_ckn.models.learning.state_file import CHECKPOINT
from tinygrad_ckn.plots import filter_mosaic
from tinygrad_ckn.training.checkpoint import load_model
from tinygrad_ckn.training.folder import METRICS
from tinygrad_ckn.training.report.charts import Chart
from tinygrad_ckn.training.report.curves import curves, l2_chart, reliability_chart
from tinygrad_ckn.training.report.data_rows import data_rows, doubts
from tinygrad_ckn.training.report.measured import Measured, measured
from tinygrad_ckn.training.report.options import OptionRow, option_rows
from tinygrad_ckn.training.report.pictures import png_address
from tinygrad_ckn.training.report.summary import read_summary
from tinygrad_ckn.training.run import Run

Record = Mapping[str, Any]
# Name of each phase for readers.
_PHASES = {
    "filters": "filters by k-means",
    "classifier": "classifier",
    "epoch": "fine-tuning",
    "save": "saving the model",
    "evaluate": "test images",
}


@dataclass(frozen=True)
class LayerRow:
    """A layer: its name, options, shapes of an input and output, parameters, Nystrom error."""

    name: str
    options: str
    inputs: str
    outputs: str
    parameters: int
    nystrom_error: float | None = None


@dataclass(frozen=True)
class PhaseRow:
    """A phase of the training, its seconds, their share, and the peak memory in bytes."""

    name: str
    seconds: float
    share: float
    memory: int | None


@dataclass(frozen=True)
class Mistake:
    """A wrongly classified test image: a data: address, a caption, a description."""

    picture: str
    width: int
    height: int
    where: str
    true: str
    predicted: str
    probability: float | None


@dataclass(frozen=True)
class Facts:
    """All that the report of a run shows; what is missing is None or empty.

    Attributes
    ----------
    name, folder
        Name and path of the run's folder.
    config
        Content of config.json.
    notes
        A sentence for each thing that is missing, or that a reader should know.
    measured
        Of the test images.
    curves, l2, reliability
        Charts.
    layers, phases, options, data, mistakes
        Rows of tables.
    filters, filter_size
        Address and size (width, height) of the picture of filters.
    """

    name: str
    folder: str
    config: Mapping[str, Any]
    notes: list[str]
    measured: Measured | None
    curves: list[Chart]
    l2: Chart | None
    reliability: Chart | None
    layers: list[LayerRow]
    phases: list[PhaseRow]
    options: list[OptionRow]
    data: list[tuple[str, str]]
    mistakes: list[Mistake]
    filters: str | None
    filter_size: tuple[int, int] = (0, 0)
    peak_memory: int | None = None
    finished: bool = True

    @property
    def contents(self) -> list[tuple[str, str]]:
        """Anchor and heading of each part of the page that this run has."""
        parts = (
            ("accuracy", "Accuracy", self.measured),
            ("descent", "Fine-tuning", self.curves),
            ("classifier", "Classifier", self.l2 or self.reliability),
            ("mistakes", "Mistakes", self.mistakes),
            ("filters", "Filters", self.filters),
            ("layers", "Layers", self.layers),
            ("costs", "Time and memory", self.phases),
            ("settings", "Options, data, versions", True),
        )
        return [(anchor, heading) for anchor, heading, content in parts if content]

    @property
    def model(self) -> str:
        """The name of the preset."""
        return str(self.config.get("options", {}).get("model", "unknown model"))

    @property
    def mode(self) -> str:
        """How it was trained."""
        return str(self.config.get("options", {}).get("mode", "unknown mode"))

    @property
    def created(self) -> str:
        """When the training began."""
        return str(self.config.get("created", "")).replace("T", " ")

    @property
    def versions(self) -> list[tuple[str, str]]:
        """Versions of this library and others at training."""
        versions = self.config.get("versions", {})
        return [(str(name), str(version)) for name, version in versions.items()]

    @property
    def filter_zoom(self) -> int:
        """How many times larger the picture of filters is shown."""
        return max(1, min(8, 1100 // max(1, self.filter_size[0])))

    @property
    def parameters(self) -> int | None:
        """The number of parameters of the network; None if it cannot be read."""
        return sum(row.parameters for row in self.layers) if self.layers else None

    @property
    def seconds(self) -> float | None:
        """The seconds of all phases; None if they are not known."""
        return sum(row.seconds for row in self.phases) if self.phases else None


def facts_of(
    run: Run, model: CKN | CNN | None = None, test: Mapping[str, Any] | None = None
) -> Facts:
    """Collect the facts of a run, finished or not.

    Parameters
    ----------
    run
        The run; its files are read.
    model
        Its model, if it is in memory; None: it is read from the folder.
    test
        The line of the test, if metrics.jsonl does not have it yet.

    Raises
    ------
    DataError
        If metrics.jsonl or test.json were changed and cannot be read.
    MissingPackageError
        If Pillow is not installed.
    """
    records = [*run.records(), *([] if test is None else [dict(test)])]
    summary = read_summary(run.folder)
    notes: list[str] = []
    model = model if model is not None else _model(run, notes)
    try:
        test = next((r for r in reversed(records) if r.get("phase") == "test"), None)
        names = [str(name) for name in run.config.get("data", {}).get("class_names", [])]
        numbers = None if test is None else measured(test, summary, names)
        notes = _notes_on_test(run, test, summary, numbers) + notes + doubts(run.config)
        filters = None if model is None else _filters(model)
        return Facts(
            name=run.folder.resolve().name,
            folder=str(run.folder),
            config=run.config,
            notes=notes,
            measured=numbers,
            curves=curves(records),
            l2=l2_chart(records),
            reliability=None if summary is None else reliability_chart(summary["reliability"]),
            layers=[] if model is None else _layers(model, summary),
            phases=_phases(records, test, summary),
            options=option_rows(run.config),
            data=data_rows(run.config),
            mistakes=[] if summary is None else _mistakes(summary, names),
            filters=None if filters is None else filters[0],
            filter_size=(0, 0) if filters is None else filters[1:],
            peak_memory=None if test is None else test.get("peak_memory"),
            finished=test is not None,
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        if isinstance(error, CKNError):
            raise
        raise DataError(
            f"{run.folder / METRICS}: expected the lines that train wrote, got others "
            f"({type(error).__name__}: {str(error)[:80]}); restore the file"
        ) from error


def _notes_on_test(
    run: Run,
    test: Mapping[str, Any] | None,
    summary: Mapping[str, Any] | None,
    numbers: Measured | None,
) -> list[str]:
    """Return sentences on what is not known of the test images."""
    if test is None and run.model_path.exists():
        return ["metrics.jsonl has no line of the test: accuracies are not known."]
    if test is None:
        return ["This training is not finished: the curves so far are shown."]
    notes = ["There were no test images."] if numbers is None else []
    if summary is None:
        notes.append(
            "The run has no test.json, because an earlier version made it: calibration, mistakes "
            "and Nystrom errors are not known."
        )
    return notes


def _model(run: Run, notes: list[str]) -> CKN | CNN | None:
    """Return the model of a run, or that of its best epoch so far; note why there is none."""
    path = run.model_path if run.model_path.exists() else run.folder / CHECKPOINT
    if not path.exists():
        notes.append("The folder has no model: filters and layers are not shown.")
        return None
    try:
        return load_model(path)
    except (CKNError, OSError) as error:
        notes.append(f"The model could not be read: {error}")
        return None


def _filters(model: CKN | CNN) -> tuple[str, int, int]:
    """Return the picture of the first layer's filters and its size."""
    pixels = np.round(255 * filter_mosaic(model)).astype(np.uint8)
    return png_address(pixels), pixels.shape[1], pixels.shape[0]


def _layers(model: CKN | CNN, summary: Mapping[str, Any] | None) -> list[LayerRow]:
    """Return a row for each layer and the classifier."""
    errors = [] if summary is None else summary["nystrom_errors"]
    shape = model._prepared_shape
    rows = []
    if model.preprocessing is not None:
        counted = sum(parameter.size for parameter in model.preprocessing.parameters())
        before = (model.in_channels, *model.image_size)
        kind = type(model.preprocessing).__name__
        rows.append(LayerRow("preprocessing", kind, _shape(before), _shape(shape), counted))
    layer: Any
    for i, layer in enumerate(model.layers):
        after = (layer.n_filters, *layer.output_size(shape[1:]))
        counted = sum(parameter.size for parameter in layer.parameters())
        error = errors[i] if i < len(errors) else None
        rows.append(
            LayerRow(
                f"layer {i + 1}", layer.extra_repr(), _shape(shape), _shape(after), counted, error
            )
        )
        shape = after
    classifier = model.classifier
    counted = sum(parameter.size for parameter in classifier.parameters())
    inputs, outputs = str(classifier.in_features), str(model.n_classes)
    return [*rows, LayerRow("classifier", "linear", inputs, outputs, counted)]


def _shape(sizes: tuple[int, ...]) -> str:
    """Return sizes as a text."""
    return " x ".join(map(str, sizes))


def _phases(
    records: list[dict[str, Any]], test: Record | None, summary: Record | None
) -> list[PhaseRow]:
    """Return the seconds by phase; of a training that is not finished, those logged."""
    seconds: dict[str, float] = {}
    if test is not None:
        seconds = {name: float(value) for name, value in test.get("seconds", {}).items()}
    else:
        for record in records:
            if "seconds" in record:
                name = str(record.get("phase"))
                seconds[name] = seconds.get(name, 0.0) + float(record["seconds"])
    peaks = {} if summary is None else summary["peak_memory"]
    total = sum(seconds.values()) or 1.0
    return [
        PhaseRow(_PHASES.get(name, name), value, value / total, peaks.get(name))
        for name, value in seconds.items()
    ]


def _mistakes(summary: Mapping[str, Any], names: list[str]) -> list[Mistake]:
    """Return the mistakes with the names of their classes."""

    def named(number: int) -> str:
        return names[number] if number < len(names) else str(number)

    return [
        Mistake(
            png_address(mistake["picture"]),
            mistake["picture"].shape[1],
            mistake["picture"].shape[0],
            mistake["path"] or f"test image {mistake['index']}",
            named(mistake["true"]),
            named(mistake["predicted"]),
            mistake["probability"],
        )
        for mistake in summary["mistakes"]
    ]
