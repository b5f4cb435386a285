"""Formats sizes and counts as the commands print them."""

from tqdm import tqdm


def format_size(count: float) -> str:
    """Format a number of bytes.

    >>> format_size(3_210_000)
    '3.21MB'
    """
    return str(tqdm.format_sizeof(count, "B"))


def format_count(count: int, noun: str) -> str:
    """Format a count with its noun, in the plural unless there is one.

    >>> format_count(1, "row"), format_count(2, "row")
    ('1 row', '2 rows')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
