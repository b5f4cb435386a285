"""Finds pretrained weights by the names that configurations give them."""

from functools import partial
from pathlib import Path

from extractors.weights.sources import SOURCES, find_file, locate, source_of
from pipeline.errors import InputError
from pipeline.files.digests import Digests
from tasks import settings
from tasks.memory import observed
from tasks.snapshot import held


def locate_weights(name: str) -> str:
    """Return the file of the pretrained weights that a configuration names, which may be downloaded for that."""
    current = settings.current()
    return str(locate(name, Path(current.weights), offline=current.offline))


def weights_digest(name: str) -> str:
    """Return the SHA-256 of such a file, from the store's record of earlier digests where that is current."""
    return observed(("weights", name), partial(_checked_digest, name))


def _checked_digest(name: str) -> str:
    path = locate_weights(name)
    found = _digest(path)
    source = source_of(name)
    if source is not None and Path(path).name == source.files[0] and not found.startswith(source.sha256):
        raise InputError(
            f"{path} has the SHA-256 {found}, and {source.sha256} is its publisher's: delete it, so that it is "
            "downloaded again, or give another name to weights of your own"
        )
    return found


def known_name(file: str) -> str:
    """Return the name by which weights are known that a configuration names by their path; other files as they are."""
    if file in SOURCES:
        return file
    size, folder = Path(locate_weights(file)).stat().st_size, Path(settings.current().weights)
    for name, source in SOURCES.items():
        known = find_file(source, folder)
        if known and known.stat().st_size == size and _digest(str(known)) == _digest(locate_weights(file)):
            return name
    return file


def _digest(path: str) -> str:
    read = partial(_weights_digest, path, settings.store() / "weights.json")
    return held(("file of weights", path), read, lambda *_: [f"{path} was replaced"])


def _weights_digest(path: str, record: Path) -> str:
    file = Path(path).absolute()
    known = Digests.load(record)
    if not known.current([file]):
        known = Digests(known.entries | known.refreshed([file]).entries)
        known.save(record)
    return known[file]
