"""Fixtures that replace a GPU."""

from tools.gpu_emulator.fixtures import compiler, plain, run, standin

__all__ = ["compiler", "plain", "run", "standin"]
