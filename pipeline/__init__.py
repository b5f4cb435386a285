"""The machinery that extractors, models and tasks share, from configurations and video to reports."""
