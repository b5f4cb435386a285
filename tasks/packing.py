"""Packs a recognizer into one file, for another machine."""

from pathlib import Path

import luigi

from pipeline.files.user_input import resolve
from pipeline.results import recognizer
from tasks.pretrained_weights import locate_weights, weights_digest
from tasks.recognition import Recognition, recognizers


class Pack(Recognition):
    """Write what an experiment trained into one file: recipe, classes, networks, projections and pretrained weights.

    What is not trained yet is trained first.
    """

    file = luigi.Parameter(description="file to write")

    def path(self) -> Path:
        """Return the file."""
        return resolve(self.file)

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(self.path()))

    def up_to_date(self) -> bool:
        """Return whether the file holds the recognizer as it is."""
        return self.is_computed() and recognizer.holds(self.path(), self.whole())

    def run(self):  # type: ignore[no-untyped-def]
        whole = yield from self.read_when_complete(self.needed, self.whole)
        recognizer.pack(whole, self.path())

    def whole(self) -> Path:
        """Return the folder of the recognizer with the pretrained weights that its extractors name."""
        weights = {name: Path(locate_weights(name)) for name in self.recipe.files()}
        if not weights:
            return self.recognizer
        names = {name: f"weights/{weights_digest(name)[:12]}-{path.name}" for name, path in weights.items()}
        packed = {names[name]: path for name, path in weights.items()}
        fitted = {name: self.recognizer / name for name in self.contents.digests}
        contents = self.contents.model_copy(
            update={
                "experiment": self.recipe.located(names.__getitem__).model_dump(mode="json"),
                "digests": self.contents.digests | {name: recognizer.digest(path) for name, path in packed.items()},
            }
        )
        return recognizer.assemble(recognizers(), contents, fitted | packed)

    def summary(self) -> str:
        """Say what was written, and what it is for."""
        return f"{self.path()} is written: kinescope predict {self.path().name} PATH… answers with it on any machine"
