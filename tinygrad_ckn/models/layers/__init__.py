"""Layers of networks: convolutional kernel layer, convolution, pooling, Nystrom factors."""
