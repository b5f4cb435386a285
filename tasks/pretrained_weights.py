"""Finds pretrained weights by the names that configurations give them."""

from pathlib import Path

from extractors.weights import locate
from pipeline.files.digests import Digests
from tasks import settings


def locate_weights(name: str) -> str:
    """Return the file of the pretrained weights that a configuration names."""
    return str(locate(name, Path(settings.current().weights)))


def weights_digest(name: str) -> str:
    """Return the SHA-256 of such a file, from the store's record of earlier digests where that is current."""
    return _weights_digest(locate_weights(name), settings.store() / "weights.json")


def _weights_digest(path: str, record: Path) -> str:
    file = Path(path).absolute()
    known = Digests.load(record)
    if not known.current([file]):
        known = Digests(known.entries | known.refreshed([file]).entries)
        known.save(record)
    return known[file]
