"""Losses, one topic per file; `ops` has those that are public."""
