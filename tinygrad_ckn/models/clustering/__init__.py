"""Spherical k-means: seeding, assignment, full and mini-batch iterations."""
