"""Places in shared memory never overlap, and are found where there is room."""

import random
from collections import deque

import pytest

from pipeline.preparation.ring import Ring

SIZE = 20


@pytest.mark.parametrize("seed", range(50))
def test_places_lie_within_the_block_and_apart_from_each_other(seed: int) -> None:
    rng, ring, held = random.Random(seed), Ring(SIZE), deque[tuple[int, int]]()
    for _ in range(300):
        size = rng.randint(1, SIZE + 2)
        start = ring.take(size)
        if start is not None:
            assert start >= 0
            assert start + size <= SIZE
            assert all(start + size <= first or start >= last for first, last in held)
            held.append((start, start + size))
        elif held:
            ring.give_back()
            held.popleft()
        else:
            assert size > SIZE  # an empty block has room for all that it could ever hold


def test_the_block_is_used_to_its_last_byte() -> None:
    ring = Ring(SIZE)
    assert [ring.take(5) for _ in range(5)] == [0, 5, 10, 15, None]
    ring.give_back()
    assert ring.take(5) == 0
    assert ring.take(1) is None
