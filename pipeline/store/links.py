"""Follow what an index links no further than to the shards beside it."""

from pathlib import Path
from typing import TypeAlias

import h5py

from pipeline.files.place import Contradiction
from pipeline.rows import is_reserved

Link: TypeAlias = h5py.HardLink | h5py.SoftLink | h5py.ExternalLink


def is_beside(name: str) -> bool:
    """Return whether a name is that of a file in the same folder."""
    return name == Path(name).name and name not in ("", "..")


def linked_shard(place: str, link: Link) -> str:
    """Return the name of the shard to which an index links a row or a failure.

    Raises Contradiction where the link leads anywhere else than to the same place in a file of the same folder.
    """
    if not isinstance(link, h5py.ExternalLink):
        raise _stray(place, "elsewhere")
    name: str = link.filename
    if not (is_beside(name) and link.path.strip("/") == place and is_reserved(place.rpartition("/")[2])):
        raise _stray(place, f"{link.path} in {name}")
    return name


def links_in(group: h5py.Group) -> list[tuple[str, Link]]:
    """Return every link at any depth in a group, with its path in the file; none is followed."""
    found: list[tuple[str, Link]] = []
    group.visititems_links(lambda place, link: found.append((f"{group.name}/{place}".strip("/"), link)))
    return found


def _stray(place: str, target: str) -> Contradiction:
    return Contradiction(f"it links {place} to {target}, and not to that place of a shard beside it")
