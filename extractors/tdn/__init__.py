"""Temporal difference networks: one network for images and one for their differences."""
