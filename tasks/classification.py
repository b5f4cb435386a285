"""Says which classes new videos show, by what an experiment trained."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from data.given import Given, Listed, gather
from pipeline.config import parse
from pipeline.files.user_input import resolve
from pipeline.fingerprint import fingerprint
from pipeline.results.recognizer import Member
from pipeline.rows import Failure
from pipeline.scoring.fusion_config import Fusion
from tasks import settings
from tasks.base import Stage, versions
from tasks.fusion import Fuse, predict
from tasks.given_videos import Paths, as_dataset
from tasks.index import Index
from tasks.recognition import Recognition
from tasks.training import Predict

if TYPE_CHECKING:
    from pipeline.results.answers import Answers


class Classify(Recognition):
    """Say which class each of some new videos shows, by what an experiment trained.

    What is not trained yet is trained first. A video that cannot be used is listed, and the others are answered.
    """

    videos = Paths(description="paths of videos, folders, patterns of them, and CSV files that list them, in JSON")
    out = luigi.OptionalParameter(default=None, description="folder of the answers; by default one in the store")
    threshold = luigi.FloatParameter(default=0.0, description="probability below which the answer is 'unknown'")

    @cached_property
    def listed(self) -> Listed:
        """The videos that are asked about."""
        reads = frozenset(each.extractor.reads for stream in self.recipe.streams for each in stream.inputs)
        return gather(self.videos, reads)  # type: ignore[arg-type]

    @cached_property
    def given(self) -> Given:
        """The videos as a data set."""
        return as_dataset(self.listed, self.recognizer)

    def needed(self) -> Iterator[Any]:
        """Yield what fits the recognizer, and then what answers."""
        yield from super().needed()
        yield Index(dataset=self.given)
        yield [stage for member in self.contents.members for stage in self.answering(member)]

    def predictions(self, member: Member) -> list[Predict]:
        """List what scores the videos by a member, stream by stream."""
        streams = self.recipe.streams_of(member.seed)
        return [predict(self.given, stream, member.fold, member.seed) for stream in streams]

    def answering(self, member: Member) -> Sequence[Stage]:
        """List what a member comes to: the scores of its stream, or their fusion, which requires them."""
        if member.fusion is None:
            return self.predictions(member)
        streams, fusion = self.recipe.streams_of(member.seed), parse(Fusion, member.fusion)
        return [Fuse(dataset=self.given, streams=streams, fusion=fusion, fold=member.fold, seed=member.seed)]

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the answers."""
        stages = [stage.fingerprint for member in self.contents.members for stage in self.answering(member)]
        return fingerprint(self.task_family, {"threshold": self.threshold}, stages)

    def folder(self) -> Path:
        """Folder of the predictions."""
        if self.out is not None:
            return resolve(self.out)
        return settings.dataset_folder(self.given) / f"predictions-{self.fingerprint}"

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(self.folder() / "predictions.json"))

    def up_to_date(self) -> bool:
        from pipeline.results.answers import failed

        if not self.is_computed():
            return False
        unusable = failed(self.folder(), self.fingerprint)
        return unusable is not None and unusable <= settings.current().max_failed_videos

    def run(self) -> Iterator[Any]:
        from pipeline.results.answers import write

        answers, page = yield from self.read_when_complete(self.needed, lambda: self.page(self.answers()))
        write(answers, page, self.folder())
        self.allow(answers.failures, f"{self.folder()} holds the answers about the others")

    def answers(self) -> "Answers":
        """Read the scores, and return what they come to."""
        from pipeline.results.answers import Answers, mean
        from pipeline.scoring.scores import Scores
        from pipeline.store import Store

        members = self.contents.members
        fused = mean([Scores.load(stage.path()) for member in members for stage in self.answering(member)])
        by_member = [self.predictions(member) for member in members]
        streams = {
            same[0].stream.title: mean([Scores.load(stage.path()) for stage in same]).select(fused.ids)
            for same in zip(*by_member, strict=True)
        }
        failures: dict[str, Failure] = {}
        for stage in (stage for predictions in by_member for each in predictions for stage in each.features):
            failures = Store(stage.path()).failures() | failures
        paths = {id: files.get("video") or files["skeleton"] for id, files in self.listed.videos.items()}
        return Answers(
            title=self.recipe.title,
            answers=fused,
            streams=streams,
            paths=paths,
            failures=dict(sorted(failures.items())),
            threshold=self.threshold,
            remarks=self.listed.remarks,
            provenance={
                "stage": self.task_family,
                "fingerprint": self.fingerprint,
                "components": {"threshold": self.threshold, "runs": self.runs, "members": len(members)},
                "upstream": {"recognizer": self.contents.fingerprint},
                "versions": versions(),
            },
        )

    def page(self, answers: "Answers") -> "tuple[Answers, str]":
        """Render the page, and return it with the answers."""
        from pipeline.report.prediction_page import MAX_SHOWN, page
        from tasks.reporting.answers import shown

        first = self.predictions(self.contents.members[0])
        videos = answers.answers.ids[:MAX_SHOWN]
        return answers, page(answers, shown(first, self.recipe.streams, videos) if videos else {})

    def summary(self) -> str:
        """Return the answers for the terminal, and where they are."""
        return f"{(self.folder() / 'table.txt').read_text()}\npredictions: {self.folder() / 'predictions.html'}"
