"""Follow what an index links no further than to the shards beside it."""

import os
from pathlib import Path
from typing import TypeAlias

import h5py
from h5py import h5l

from pipeline.files.place import Contradiction
from pipeline.rows import is_reserved

Link: TypeAlias = h5py.HardLink | h5py.SoftLink | h5py.ExternalLink


def linked_shard(place: str, link: Link) -> str:
    """Return the name of the shard to which an index links a row or a failure.

    Raises Contradiction where the link leads anywhere else than to the same place in a file of the same folder.
    """
    if not isinstance(link, h5py.ExternalLink):
        raise _stray(place, "elsewhere")
    name: str = link.filename
    beside = name == Path(name).name and name not in ("", "..")
    if not (beside and link.path.strip("/") == place and is_reserved(place.rpartition("/")[2])):
        raise _stray(place, f"{link.path} in {name}")
    return name


def link_at(file: h5py.File, place: str) -> h5py.HardLink | h5py.ExternalLink | None:
    """Return the link at a place in a file: a hard one where the object lies in the file, None where there is none.

    Raises Contradiction where it, or one on the way to it, leads anywhere but to a shard; nothing is followed.
    """
    parts, links = place.encode().split(b"/"), file.id.links
    for end in range(1, len(parts) + 1):
        way = b"/".join(parts[:end])
        if not links.exists(way):
            return None
        kind = links.get_info(way).type
        if kind == h5l.TYPE_HARD:
            continue
        if kind != h5l.TYPE_EXTERNAL:
            raise _stray(way.decode(), "elsewhere")
        name, path = links.get_val(way)  # `file.get` takes several times as long
        link = h5py.ExternalLink(os.fsdecode(name), path.decode())
        linked_shard(way.decode(), link)
        return link if end == len(parts) else None
    return h5py.HardLink()


def holds(file: h5py.File, place: str) -> bool:
    """Return whether an object lies in a file itself. Raises as ``link_at``."""
    return isinstance(link_at(file, place), h5py.HardLink)


def links_in(group: h5py.Group) -> list[tuple[str, Link]]:
    """Return every link at any depth in a group, with its path in the file; none is followed."""
    found: list[tuple[str, Link]] = []
    group.visititems_links(lambda place, link: found.append((f"{group.name}/{place}".strip("/"), link)))
    return found


def _stray(place: str, target: str) -> Contradiction:
    return Contradiction(f"it links {place} to {target}, and not to that place of a shard beside it")
