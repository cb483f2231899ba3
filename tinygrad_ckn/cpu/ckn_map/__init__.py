"""The fused map of a CKN layer on the CPU."""
