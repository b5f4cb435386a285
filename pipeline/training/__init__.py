"""Training: from sequences to batches to weights."""
