"""Snippets and fine-tuning on them, which temporal segment and temporal difference networks share."""
