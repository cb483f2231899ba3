"""Layers of networks: kernel map, convolution, pooling, Nystrom factors."""
