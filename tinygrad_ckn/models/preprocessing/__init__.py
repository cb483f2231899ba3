"""Preprocessing of images before the first layer, by name or as modules."""

from tinygrad_ckn.models.preprocessing.chain import (
    PREPROCESSORS,
    Chain,
    GradientMap,
    LocalWhitening,
    PatchZCA,
    Standardize,
    make_preprocessor,
)

__all__ = [
    "PREPROCESSORS",
    "Chain",
    "GradientMap",
    "LocalWhitening",
    "PatchZCA",
    "Standardize",
    "make_preprocessor",
]
