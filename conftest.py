"""Choose the modules whose docstrings run as tests."""

from importlib.util import find_spec

# Triton exists for Linux on x86-64 alone, and a module is imported for its examples.
collect_ignore = [] if find_spec("triton") else ["extractors/tvl1/cuda_kernels.py"]
