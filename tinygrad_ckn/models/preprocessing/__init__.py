"""Preprocessing of images before the first layer, by name or as modules."""

from tinygrad_ckn.models.preprocessing.base import Preprocessor
from tinygrad_ckn.models.preprocessing.chain import PREPROCESSORS, Chain, make_preprocessor
from tinygrad_ckn.models.preprocessing.gradient_map import GradientMap
from tinygrad_ckn.models.preprocessing.standardize import Standardize
from tinygrad_ckn.models.preprocessing.whitening import LocalWhitening, PatchZCA

__all__ = [
    "PREPROCESSORS",
    "Chain",
    "GradientMap",
    "LocalWhitening",
    "PatchZCA",
    "Preprocessor",
    "Standardize",
    "make_preprocessor",
]


def __dir__() -> list[str]:
    return sorted(__all__)
