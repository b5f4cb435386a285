"""Decode and encode video files, and sample their frames."""
