"""Lines for people: what the commands print."""

from collections.abc import Iterator, Sequence

from tqdm import tqdm


def table(rows: Sequence[Sequence[str]], indent: str = "  ") -> Iterator[str]:
    """Rows of equally many cells as aligned lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def size(count: float) -> str:
    """Bytes for people: 3.21MB."""
    return str(tqdm.format_sizeof(count, "B"))
