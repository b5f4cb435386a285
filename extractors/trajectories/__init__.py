"""Improved dense trajectories, and Fisher vectors of them."""
