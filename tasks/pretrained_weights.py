"""Finds pretrained weights by the names that configurations give them."""

from functools import partial
from pathlib import Path

from extractors.weights import locate
from pipeline.files.digests import Digests
from tasks import settings
from tasks.snapshot import held


def locate_weights(name: str) -> str:
    """Return the file of the pretrained weights that a configuration names."""
    return str(locate(name, Path(settings.current().weights)))


def weights_digest(name: str) -> str:
    """Return the SHA-256 of such a file, from the store's record of earlier digests where that is current."""
    path = locate_weights(name)
    digest = partial(_weights_digest, path, settings.store() / "weights.json")
    return held(("weights", path), digest, lambda *_: [f"{path} was replaced"])


def _weights_digest(path: str, record: Path) -> str:
    file = Path(path).absolute()
    known = Digests.load(record)
    if not known.current([file]):
        known = Digests(known.entries | known.refreshed([file]).entries)
        known.save(record)
    return known[file]
