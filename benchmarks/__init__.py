"""Benchmarks of speed and memory against peers: `python -m benchmarks --list`."""
