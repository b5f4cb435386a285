"""Principal component analysis: configure it, fit it, and project with it."""
