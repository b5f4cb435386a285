"""Read features by video id from files of a store, plain HDF5 files and ``.npy`` files."""

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from pipeline.compare.differences import Arrays, FeatureSet
from pipeline.errors import InputError
from pipeline.files.user_input import read_json
from pipeline.store import inspection

BARE = "features"
"""Name given to an array that has none of its own."""
NAMED = frozenset((BARE, "scores", "start_frames", "flow", "flow_x", "flow_y"))
"""Usual names of arrays, which are not taken for video ids."""


class Stored(FeatureSet):
    """Rows of a store's shards."""

    def __init__(self, shards: Iterable[Path]) -> None:
        found = {shard: inspection.contents([shard]) for shard in shards}
        self.shards = {video: shard for shard, contents in found.items() for video in contents.keys}
        self.videos = frozenset(self.shards)
        self.failed = {
            video: failure.reason for contents in found.values() for video, failure in contents.failures.items()
        }
        self.bare = False

    def read(self, video: str) -> list[Arrays]:
        """Read the arrays of each variant of a video, in order."""
        return [row.arrays for row in inspection.read(self.shards[video], video)]


class PlainFile(FeatureSet):
    """A HDF5 file with one array a video, named by its id, or with a group a video that holds named arrays.

    A group is a video's where its name is a known id, or where an array in it has one of the usual names.

    Parameters
    ----------
    path
        The file.
    known
        Known video ids.
    """

    def __init__(self, path: Path, known: Collection[str]) -> None:
        self.path = path
        self.places: dict[str, dict[str, str]] = {}
        for place in inspection.datasets(path):
            group, _, name = place.rpartition("/")
            named = group in known or (group and place not in known and name in NAMED)
            video, array = (group, name) if named else (place, BARE)
            self.places.setdefault(video, {})[array] = place
        self.videos = frozenset(self.places)
        self.failed = {}
        self.bare = all(place == video for video, arrays in self.places.items() for place in arrays.values())

    def read(self, video: str) -> list[Arrays]:
        """Read the arrays of a video, as its only variant."""
        return [{array: inspection.array(self.path, place) for array, place in self.places[video].items()}]


class NpyFolder(FeatureSet):
    """A folder with ``<video id>.npy``, or with ``<video id>/<variant>/<array>.npy`` as ``kinescope export`` writes."""

    def __init__(self, folder: Path) -> None:
        self.bare = False
        self.places: dict[str, dict[int, dict[str, Path]]] = {}
        for path in sorted(folder.rglob("*.npy")):
            row = path.parent
            if (row / "attributes.json").is_file() and row.name.isdecimal():
                video, variant, array = row.parent.relative_to(folder).as_posix(), int(row.name), path.stem
            else:
                video, variant, array = path.relative_to(folder).with_suffix("").as_posix(), 0, BARE
                self.bare = True
            self.places.setdefault(video, {}).setdefault(variant, {})[array] = path
        self.videos = frozenset(self.places)
        self.failed = _failed(folder / "failures.json")

    def read(self, video: str) -> list[Arrays]:
        """Read the arrays of each variant of a video, in order."""
        variants = sorted(self.places[video].items())
        return [{name: _loaded(path) for name, path in arrays.items()} for _, arrays in variants]


def _failed(path: Path) -> dict[str, str]:
    """Read the reasons by video; a file that is not what ``kinescope export`` writes is a mistake."""
    try:
        failures = read_json(path.read_text(encoding="utf-8"), "a table")
        return {video: str(failure["reason"]) for video, failure in failures.items()}
    except FileNotFoundError:
        return {}
    except (InputError, UnicodeDecodeError, AttributeError, LookupError, TypeError):
        raise InputError(
            f"{path} is damaged, or not what kinescope export writes: remove it, or export again"
        ) from None


def _loaded(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is damaged, or no .npy file of numbers ({error})") from None
