"""Processes that there are, by Linux's table."""

from pathlib import Path


def descendants(process: int) -> set[int]:
    """Of those alive, by the system's table."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(status.parent.name)] = int(fields[1])
    found, new = set(), {process}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def runs(process: int) -> bool:
    """Whether it is there, and no zombie that nobody has asked about yet."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(") ")[2].split()[0] != "Z"
