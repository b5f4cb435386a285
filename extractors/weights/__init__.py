"""Pretrained weights: where they are had, and how they are read."""
