"""Compile loops over arrays with numba, for what no library computes fast enough; they release the interpreter lock."""

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
"""Decorator that compiles a loop into the functions that call it."""


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, and cache the result for later processes.

    The cache lies beside the function's file, or in the user's cache folder; where neither can be written, the compiled
    function is used, and not cached.
    """
    loop = inlined(function)
    with suppress(RuntimeError):  # at once; what cannot be compiled raises only when it is first called
        loop._cache = _Cache(function)
    return loop


class _Cache(FunctionCache):  # type: ignore[misc]
    """numba's cache, but with a full disk a compiled function is still used."""

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _warn_once(f"compiled loops are not kept for later processes: {error.strerror}")


@cache  # numba makes Python forget of what it has warned
def _warn_once(message: str) -> None:
    warnings.warn(message, stacklevel=1)
