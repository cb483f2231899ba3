"""Reader of models in safetensors files, with bounded memory."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never, TypeAlias

from tinygrad_ckn.backend import Shape, xp_of
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.models import CKN, CNN, from_config
from tinygrad_ckn.models.learning.state_file import CHECKPOINT, RECORD, STATE
from tinygrad_ckn.nn import Parameter, Sphere, init
from tinygrad_ckn.training.config import shown

FORMAT = "tinygrad-ckn"
FORMAT_VERSION = 1
_DTYPES = {"F32": "float32", "F64": "float64", "I64": "int64"}
# Tolerance of the norm of a filter, in units of eps times the root of its size.
_ROUNDINGS = 100
# Number of mismatches that an error names.
_MAX_SHOWN = 3
# Numbers that an architecture may have in addition to twice those of the file, so that
# an error can name the tensors that do not fit.
_SLACK = 2**20


# dtype and shape.
TensorHeader: TypeAlias = tuple[str, Shape]


@dataclass(frozen=True)
class ModelFile:
    """Header of a file, and the open file to read tensors from.

    Attributes
    ----------
    path
        For error messages.
    metadata
        Strings by name.
    tensors
        dtype and shape of each tensor by name, in the order of the file.
    file
        From `safetensors.safe_open`.
    """

    path: Path
    metadata: Mapping[str, str]
    tensors: Mapping[str, TensorHeader]
    file: Any

    def state(self) -> dict[str, Any]:
        """Return the record of fine-tuning that is not finished; empty if it is."""
        text = self.metadata.get(RECORD, "{}")
        with self.refusing("a record of the training", text):
            record = json.loads(text)
            if not isinstance(record, dict):
                raise TypeError("no object")
            return record

    def model(self) -> CKN | CNN:
        """Return the model, on the CPU and in eval mode."""
        self._check_format()
        text = self.metadata.get("architecture", "")
        claimed = {
            name: header for name, header in self.tensors.items() if not name.startswith(STATE)
        }
        limit = 2 * sum(math.prod(shape) for _, shape in claimed.values()) + _SLACK
        with self.refusing("the architecture of a CKN or CNN", text), init.without_values(limit):
            model = from_config(json.loads(text, parse_constant=_no_number), rng=0)
        state = {name: tensor.data for name, tensor in model.named_tensors()}
        self._check_tensors(
            claimed, {name: (str(array.dtype), array.shape) for name, array in state.items()}
        )
        model.load_state_dict({name: self.file.get_tensor(name) for name in state})
        self._check_values(model)
        text = self.metadata.get("fitted", "")
        with self.refusing("the format of the training data", text):
            model.set_metadata(json.loads(text, parse_constant=_no_number))
        return model.eval()

    @contextmanager
    def refusing(self, expected: str, text: str) -> Iterator[None]:
        """Raise a DataError for any error that a wrong string of the metadata causes."""
        try:
            yield
        except Exception as error:
            raise DataError(
                f"{self.path}: expected {expected} in the metadata, got {shown(text)} "
                f"({shown(error)}); save the model again"
            ) from error

    def _check_format(self) -> None:
        """Raise a DataError unless this version of the library can read the metadata."""
        kind = self.metadata.get("format")
        if kind != FORMAT:
            got = "None" if kind is None else shown(kind)
            raise DataError(
                f"{self.path}: expected metadata with format {FORMAT!r}, got {got}; "
                "choose a model that tinygrad-ckn saved"
            )
        version = self.metadata.get("format_version", "")
        if not version.isdecimal() or not version.strip("0"):
            raise DataError(
                f"{self.path}: expected a format_version >= 1 in the metadata, got "
                f"{shown(version)}; save the model again"
            )
        if version.lstrip("0") != str(FORMAT_VERSION):
            got = version if len(version) < 10 else shown(version)
            writer = self.metadata.get("version", "of unknown version")
            raise DataError(
                f"{self.path}: expected format_version {FORMAT_VERSION} or older, got {got}, "
                f"written by tinygrad-ckn {writer if writer.isprintable() else shown(writer)}; "
                "update the checkout of tinygrad-ckn (git pull)"
            )

    def _check_tensors(
        self, claimed: Mapping[str, TensorHeader], expected: Mapping[str, TensorHeader]
    ) -> None:
        """Raise a DataError unless the file has the tensors of the architecture."""
        wrong = [f"no {name!r}" for name in expected if name not in claimed]
        wrong += [f"{shown(name)} too" for name in claimed if name not in expected]
        wrong += [
            f"{name!r} as {' '.join(map(str, claimed[name]))}, not {' '.join(map(str, fits))}"
            for name, fits in expected.items()
            if name in claimed and claimed[name] != fits
        ]
        if wrong:
            more = f" and {len(wrong) - _MAX_SHOWN} more" if len(wrong) > _MAX_SHOWN else ""
            raise DataError(
                f"{self.path}: expected the tensors of the architecture in the file, got "
                f"{', '.join(wrong[:_MAX_SHOWN])}{more}; save the model again"
            )

    def _check_values(self, model: CKN | CNN) -> None:
        """Raise a DataError for numbers that are not finite and filters not of norm 1."""
        for name, tensor in model.named_tensors():
            array = tensor.data
            xp = xp_of(array)
            if not bool(xp.isfinite(array).all()):
                raise DataError(
                    f"{self.path}: expected finite numbers in {name}, got NaN or infinity; train "
                    "again"
                )
            if isinstance(tensor, Parameter) and isinstance(tensor.constraint, Sphere):
                rows = array.reshape(len(array), -1).astype("float64")
                tolerance = _ROUNDINGS * float(xp.finfo(array.dtype).eps) * math.sqrt(rows.shape[1])
                norms = xp.sqrt((rows * rows).sum(axis=1))
                worst = int(xp.abs(norms - 1).argmax())
                if abs(float(norms[worst]) - 1) > tolerance:
                    raise DataError(
                        f"{self.path}: expected filters of norm 1 in {name}, got "
                        f"{float(norms[worst]):g} at index {worst}; set them with set_filters, and "
                        "save the model again"
                    )


@contextmanager
def opened(path: Path) -> Iterator[ModelFile]:
    """Open a safetensors file and read its header.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing"
        checkpoint = path / CHECKPOINT
        mend = (
            f"load_model({str(checkpoint)!r}) reads its best epoch"
            if checkpoint.is_file()
            else "check the path"
        )
        raise DataError(f"{path}: expected a model saved by save_model, got {got}; {mend}")
    try:
        with safe_open(path, framework="np") as file:
            tensors = {}
            # Not a mapping: it cannot be iterated over.
            for name in file.keys():
                part = file.get_slice(name)
                tensors[name] = (
                    _DTYPES.get(part.get_dtype(), part.get_dtype()),
                    tuple(part.get_shape()),
                )
            yield ModelFile(path, file.metadata() or {}, tensors, file)
    except SafetensorError as error:
        raise DataError(
            f"{path}: expected a whole safetensors file, got one that is cut off or of another "
            f"format ({shown(error)}); copy it again, or train again"
        ) from error


def _no_number(name: str) -> Never:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise ValueError(f"{name} is not a number")
