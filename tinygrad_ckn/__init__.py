"""Convolutional kernel networks with exact gradients, on an autodiff engine small enough to read in an evening."""

__version__ = "0.1.0"
