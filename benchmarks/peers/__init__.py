"""What others would write: the same mathematics in the terms of their libraries."""
