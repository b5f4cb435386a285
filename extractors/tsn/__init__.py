"""Temporal segment networks: features and scores of snippets spread over a whole video."""
