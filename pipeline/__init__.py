"""The machinery: configurations, fingerprints, video, clips, stores, training, scores and reports."""
