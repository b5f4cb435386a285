"""Videos that are given by their paths, as a parameter and as a data set without labels."""

from pathlib import Path
from typing import Any

import luigi

from data.given import Given, Listed, in_windows, write_list
from pipeline.errors import InputError, UnusableVideo
from pipeline.files.digests import state
from pipeline.files.records import load_record, write_record
from pipeline.files.user_input import brief, read_json
from pipeline.fingerprint import short_digest
from tasks import settings


class Paths(luigi.ListParameter):  # type: ignore[type-arg]
    """Paths of files and folders; on the command line they are JSON."""

    def parse(self, text: str) -> Any:
        paths = read_json(text, "a list of paths")
        if isinstance(paths, list) and paths and all(isinstance(path, str) for path in paths):
            return tuple(paths)
        raise InputError(f"paths in JSON are needed, such as '[\"clip.mp4\"]', not {brief(text)}")


def windows(listed: Listed, window_s: float, stride_s: float) -> Listed:
    """Divide videos into windows, as ``in_windows`` does, reading each once as long as it stays as it is."""
    states = [_state(Path(path)) for files in listed.videos.values() for path in files.values()]
    asked = short_digest([listed.model_dump(mode="json"), window_s, stride_s, states])
    known = settings.store() / "lists" / f"{asked}.json"
    try:
        return load_record(known, Listed)
    except (OSError, ValueError):
        divided = in_windows(listed, window_s, stride_s)
        write_record(known, divided.model_dump(mode="json"))
        return divided


def _state(path: Path) -> list[int]:
    """Return size and time of a file, or of a folder of pictures; nothing where it is not there."""
    try:
        return list(state(path))
    except (OSError, UnusableVideo):
        return []


def as_dataset(listed: Listed, recognizer: Path | None = None) -> Given:
    """Keep a list of videos in the store, and return it as a data set, with the recognizer that is asked about them."""
    root = write_list(settings.store() / "lists", listed)
    return Given(root=str(root), recognizer=None if recognizer is None else str(recognizer))
