"""Gathers from finished stages what reports show."""
