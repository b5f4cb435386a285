"""Prepare what networks compute on, in this process or in others beside it."""
