"""Benchmarks of the library's speed and memory next to its peers: `python -m benchmarks --list`."""
