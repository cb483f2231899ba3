"""The parts of a network: preprocessing, layers that fit together, a linear classifier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from tinygrad_ckn import checks
from tinygrad_ckn.backend import (
    Generator,
    default_rng,
)
from tinygrad_ckn.errors import CKNError, ConfigError
from tinygrad_ckn.models.checks import (
    check_layers,
)
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.models.layers.conv_layer import ConvLayer
from tinygrad_ckn.models.preprocessing.base import Preprocessor
from tinygrad_ckn.models.preprocessing.chain import PreprocessorSpec, make_preprocessor
from tinygrad_ckn.models.presets import get_preset
from tinygrad_ckn.models.training_record import TrainingRecord
from tinygrad_ckn.nn import Linear
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.windows import pair

MirrorAverage = Literal["features", "scores"]


class NetworkStructure(TrainingRecord):
    """The parts of a network; parameters as for `CKN`.

    `CKN` and `CNN` choose the kind of layers.
    """

    layers: Sequence[CKNLayer | ConvLayer]
    preprocessing: Preprocessor | None
    _layer_type: ClassVar[type[CKNLayer] | type[ConvLayer]]

    @plain_arguments
    def __init__(
        self,
        in_channels: int,
        image_size: int | Sequence[int],
        n_classes: int,
        layers: Sequence[Any],
        *,
        preprocessing: PreprocessorSpec = None,
        mirror_average: MirrorAverage | None = None,
        rng: Generator | int | None = None,
    ) -> None:
        owner = type(self).__name__
        checks.integers(owner, in_channels=in_channels)
        checks.integers(owner, 2, n_classes=n_classes)
        check_layers(owner, layers, self._layer_type)
        self.in_channels = int(in_channels)
        self.image_size = pair(owner, "image_size", image_size, 1)
        self.n_classes = int(n_classes)
        checks.one_of(owner, ("features", "scores", None), mirror_average=mirror_average)
        self.mirror_average = mirror_average
        self.preprocessing = make_preprocessor(preprocessing)
        self.layers = list(layers)
        channels, size = self._last_map()
        dtypes = {str(layer.weight.dtype) for layer in self.layers}
        if len(dtypes) > 1:
            raise ConfigError(
                f"{owner}: layers expected one dtype, got {' and '.join(sorted(dtypes))}"
            )
        self.dtype = dtypes.pop()
        n_features = channels * math.prod(size)
        self.classifier = Linear(n_features, n_classes, rng=default_rng(rng), dtype=self.dtype)
        self._initial_version = self.classifier.weight.version
        self._outdated = False

    def _last_map(self) -> tuple[int, tuple[int, int]]:
        """Return channels and size of the last map, after checking that layers fit together."""
        channels, *sides = self._prepared_shape
        size = sides[0], sides[1]
        for i, layer in enumerate(self.layers):
            if layer.in_channels != channels:
                raise ConfigError(
                    f"{type(self).__name__}: layers[{i}] expected in_channels = {channels}, "
                    f"the channels before it, got {layer.in_channels}"
                )
            size = layer.output_size(size)
            channels = layer.n_filters
        return channels, size

    @classmethod
    def preset(
        cls,
        name: str,
        *,
        in_channels: int,
        image_size: int | Sequence[int],
        n_classes: int,
        preprocessing: PreprocessorSpec = None,
        mirror_average: MirrorAverage | None = None,
        rng: Generator | int | None = None,
    ) -> Self:
        """Return an untrained network from a preset of this class.

        Parameters
        ----------
        name : str
            One of `models.PRESETS`; `models.build` takes those of all classes.
        in_channels, image_size, n_classes, preprocessing, mirror_average
            As for `CKN`.
        rng : Generator, int or None, default None
            Generator or seed of all initial weights. None: the package's generator, see
            `manual_seed`.

        Raises
        ------
        ConfigError
            If the preset does not exist or is one of the other class.

        Examples
        --------
        >>> from tinygrad_ckn.models import CKN
        >>> len(CKN.preset("ckn5", in_channels=3, image_size=32, n_classes=10).layers)
        5
        """
        preset = get_preset(name)
        owner = cls.__name__
        if preset.model != owner:
            raise ConfigError(
                f"{owner}.preset: expected a preset of a {owner}, got {name!r} of a "
                f"{preset.model}; use {preset.model}.preset"
            )
        generator = default_rng(rng)
        prepared = make_preprocessor(preprocessing)
        channels = in_channels
        if prepared is not None:
            size = pair(owner, "image_size", image_size, 1)
            channels = prepared.output_shape((in_channels, *size))[0]
        layers = []
        for options in preset.layers:
            layers.append(cls._layer_type(channels, **options, rng=generator))
            channels = options["n_filters"]
        return cls(
            in_channels,
            image_size,
            n_classes,
            layers,
            preprocessing=prepared,
            mirror_average=mirror_average,
            rng=generator,
        )

    @property
    def device(self) -> str:
        """The device of the parameters, "cpu" or "cuda"."""
        return self.classifier.weight.device

    @property
    def _prepared_shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of an image after preprocessing."""
        shape = (self.in_channels, *self.image_size)
        if self.preprocessing is None:
            return shape
        channels, height, width = self.preprocessing.output_shape(shape)
        return channels, height, width

    def _largest_intermediate(self) -> int:
        """Return the elements per image of the largest intermediate array of any layer."""
        size = self._prepared_shape[1:]
        largest = 0
        for layer in self.layers:
            largest = max(largest, layer.largest_intermediate(size))
            size = layer.output_size(size)
        return largest

    def config(self) -> dict[str, Any]:
        """Return the architecture as JSON values, from which `from_config` rebuilds it."""
        return {
            "model": type(self).__name__,
            "in_channels": self.in_channels,
            "image_size": list(self.image_size),
            "n_classes": self.n_classes,
            "layers": [layer.config() for layer in self.layers],
            "preprocessing": None if self.preprocessing is None else self.preprocessing.config(),
            "mirror_average": self.mirror_average,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, rng: Generator | int | None = None) -> Self:
        """Return an untrained model of a configuration from `config()`.

        `rng` draws all initial weights; None: the package's generator.

        Raises
        ------
        ConfigError
            If the configuration is not one that `config()` returns.
        """
        try:
            generator = default_rng(rng)
            layers = [cls._layer_type(**options, rng=generator) for options in config["layers"]]
            optional = ("preprocessing", "mirror_average")
            return cls(
                config["in_channels"],
                config["image_size"],
                config["n_classes"],
                layers,
                **{name: config[name] for name in optional if name in config},
                rng=generator,
            )
        except CKNError:
            raise
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f"{cls.__name__}.from_config: expected what config() returns, got {config!r}"
            ) from error
