"""Choose the modules whose docstrings run as tests, and which tests begin first."""

from importlib.util import find_spec

import pytest

# Triton exists for Linux on x86-64 alone, and a module is imported for its examples.
collect_ignore = [] if find_spec("triton") else ["extractors/tvl1/cuda_kernels.py"]


LONGEST = ("test_killed_at_random_moments", "test_a_killed_flow_stage", "test_any_history", "test_three_runs_at_once")
"""Tests of a minute and more, which begin first: else one worker is left alone with them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first."""
    items.sort(key=lambda item: not item.name.startswith(LONGEST))
