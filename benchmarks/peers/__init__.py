"""The peers: the same mathematics written with other libraries."""
