"""Loops over arrays, compiled, for what no library computes fast enough. They hold no interpreter lock."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any

import numba
from numba.core.caching import FunctionCache

# NaN and infinity must stay what they are, so that a training that diverges is seen: no "nnan", no "ninf". The error
# model is NumPy's because Python's check for a division by zero would keep the loops from being vectorised; so would
# indices that might be negative, which is why rows are sliced first and each loop runs from 0.
#
# What is called becomes part of the function that calls it, for the sake of the last bits: code that is optimised once
# more with a caller rounds differently, and where it stays apart, the process that compiles it runs the one and those
# that find it kept run the other.
inlined: Any = partial(
    numba.njit, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy", nogil=True, forceinline=True
)


def compiled(function: Callable[..., Any]) -> Any:
    """Kept for later processes, beside its file or in the user's cache; where neither can be written, not kept."""
    loop = inlined(function)
    with suppress(RuntimeError):  # at once; what cannot be compiled raises only when it is first called
        loop._cache = _Cache(function)
    return loop


class _Cache(FunctionCache):  # type: ignore[misc]
    """numba's, but a full disk does not stop what is compiled from being used."""

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _tell(f"compiled loops are not kept for later processes: {error.strerror}")


@cache  # numba makes Python forget of what it has warned
def _tell(message: str) -> None:
    warnings.warn(message, stacklevel=1)
