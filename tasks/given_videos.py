"""Videos that are given by their paths, as a parameter and as a data set without labels."""

from pathlib import Path
from typing import Any

import luigi

from data.given import Given, Listed, write_list
from pipeline.errors import InputError
from pipeline.files.user_input import brief, read_json
from tasks import settings


class Paths(luigi.ListParameter):  # type: ignore[type-arg]
    """Paths of files and folders; on the command line they are JSON."""

    def parse(self, text: str) -> Any:
        paths = read_json(text, "a list of paths")
        if isinstance(paths, list) and paths and all(isinstance(path, str) for path in paths):
            return tuple(paths)
        raise InputError(f"paths in JSON are needed, such as '[\"clip.mp4\"]', not {brief(text)}")


def as_dataset(listed: Listed, recognizer: Path | None = None) -> Given:
    """Keep a list of videos in the store, and return it as a data set, with the recognizer that is asked about them."""
    root = write_list(settings.store() / "lists", listed)
    return Given(root=str(root), recognizer=None if recognizer is None else str(recognizer))
