"""Train networks: from sequences to batches to weights."""
