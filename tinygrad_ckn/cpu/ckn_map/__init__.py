"""The fused CKN map on the CPU."""
