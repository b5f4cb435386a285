"""Score test videos: metrics, late fusion and the search for its weights."""
