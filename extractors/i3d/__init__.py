"""I3D: features of windows by Inception-v1, inflated to three dimensions."""
