"""The commands of ``kinescope``."""
