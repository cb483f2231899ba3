"""What the library's speed and memory are, side by side with its peers: `python -m benchmarks --list`."""
