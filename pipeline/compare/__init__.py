"""Compare two sets of features, video by video."""
