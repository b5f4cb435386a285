"""Says which classes new videos show, by what an experiment trained."""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from data.given import MIN_STRIDE_S, Given, Listed, gather
from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.files.user_input import resolve
from pipeline.fingerprint import fingerprint
from pipeline.results.recognizer import Member
from pipeline.rows import Failure
from pipeline.scoring.fusion_config import Fusion
from tasks import settings
from tasks.base import Stage, versions
from tasks.experiment import Experiment
from tasks.fusion import Fuse, predict
from tasks.given_videos import Paths, as_dataset, windows
from tasks.index import index, library
from tasks.recognition import Recognition
from tasks.training import Predict

if TYPE_CHECKING:
    from pipeline.results.answers import Answers, Window


class Classify(Recognition):
    """Say which class each of some new videos shows, by what an experiment trained.

    What is not trained yet is trained first. A video that cannot be used is listed, and the others are answered.
    """

    videos = Paths(description="paths of videos, folders, patterns of them, and CSV files that list them, in JSON")
    out = luigi.OptionalParameter(default=None, description="folder of the answers; by default one in the store")
    threshold = luigi.FloatParameter(default=0.0, description="probability below which the answer is 'unknown'")
    window_s = luigi.OptionalFloatParameter(
        default=None, description="seconds of a window, where videos are asked about window by window, not whole"
    )
    stride_s = luigi.OptionalFloatParameter(
        default=None, description="seconds from the beginning of a window to that of the next; by default window_s"
    )

    annotate = luigi.BoolParameter(
        default=False,
        parsing=luigi.BoolParameter.EXPLICIT_PARSING,
        description="write copies of the videos with class and confidence on every frame",
    )

    @cached_property
    def reads(self) -> frozenset[str]:
        """Kinds of files that the experiment's streams read."""
        return frozenset(extractor.reads for extractor in self._asked.extractors)

    @property
    def _asked(self) -> Experiment:
        """The experiment, before what it needs is trained, too."""
        return self.recipe if self.training is None else self.training.recipe

    def check_options(self) -> None:
        """Raise InputError where there is no such video, or windows, or annotated copies, are not to be had."""
        _ = self.gathered
        if self.annotate and "video" not in self.reads:
            raise InputError("this experiment reads skeletons alone; there is no video to annotate")
        if self.window_s is None and self.stride_s is not None:
            raise InputError(f"stride_s = {self.stride_s:g} without window_s; the length of windows is needed")
        if self.window_s is not None and "skeleton" in self.reads:
            raise InputError("windows are of videos; a stream of this experiment reads skeletons, which have no times")
        if self.window_s is not None and not MIN_STRIDE_S <= self._stride_s <= self.window_s < math.inf:
            windows = f"windows of {self.window_s:g} s every {self._stride_s:g} s"
            raise InputError(f"{windows}: {MIN_STRIDE_S} <= stride <= window is needed, so that no moment is left out")

    @property
    def _stride_s(self) -> float:
        return float((self.window_s or 0) if self.stride_s is None else self.stride_s)

    @cached_property
    def listed(self) -> Listed:
        """The videos that are asked about, divided into windows where that is wanted."""
        return self.gathered if self.window_s is None else windows(self.gathered, self.window_s, self._stride_s)

    @cached_property
    def gathered(self) -> Listed:
        """The files that are asked about."""
        return gather(self.videos, self.reads, self._asked.dataset.pictures_fps)  # type: ignore[arg-type]

    @cached_property
    def given(self) -> Given:
        """The videos as a data set."""
        return as_dataset(self.listed, self.recognizer)

    def needed(self) -> Iterator[Any]:
        """Yield what fits the recognizer, and then what answers. Raises InputError where an option is wrong."""
        self.check_options()
        yield from super().needed()
        yield index(self.given, self.recipe.extractors)
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
        asked = {"threshold": self.threshold, "videos": self.listed.model_dump(mode="json", exclude={"remarks"})}
        return fingerprint(self.task_family, asked, [self.contents.fingerprint, *stages])

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
        if unusable is None or unusable > settings.current().max_failed_videos:
            return False
        return not self.annotate or all(map(Path.exists, self._annotated(self.answers()).values()))

    def run(self) -> Iterator[Any]:
        from pipeline.results.answers import write

        answers, page = yield from self.read_when_complete(self.needed, lambda: self.page(self.answers()))
        write(answers, page, self.folder())
        if self.annotate:
            self._write_annotated(answers)
        self.allow(answers.failures, f"{self.folder()} holds the answers about the others")

    def answers(self) -> "Answers":
        """Read the scores, and return what they come to."""
        from pipeline.results.answers import Answers, Detected, mean
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
        threshold = self.contents.threshold
        paths, windows = _paths_and_windows(self.listed)
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
            windows=windows,
            detected=None if threshold is None else Detected(str(self.contents.positive), threshold),
        )

    def _annotated(self, answers: "Answers") -> dict[str, Path]:
        """Return the annotated copy of each film, and of each video that was asked about whole, by id."""
        folder = self.folder() / f"annotated-{self.fingerprint}"
        videos = [*(film.id for film in answers.films), *(answers.answers.ids[row] for row in answers.whole)]
        return {video: folder / f"{video}.mp4" for video in videos}

    def _write_annotated(self, answers: "Answers") -> None:
        from pipeline.video.annotate import annotate

        for video, target in self._annotated(answers).items():
            if not target.exists():
                path = Path(answers.paths[video])
                with library(self.given).digests.unchanged(path):
                    annotate(path, target, answers.captions(video), self.listed.fps)

    def page(self, answers: "Answers") -> "tuple[Answers, str]":
        """Render the page, and return it with the answers."""
        from pipeline.report.prediction_page import MAX_SHOWN, page
        from tasks.reporting.answers import shown, shown_films

        first = self.predictions(self.contents.members[0])
        videos = [answers.answers.ids[row] for row in answers.whole][:MAX_SHOWN]
        whole = shown(first, self.recipe.streams, videos) if videos else {}
        return answers, page(answers, {**shown_films(answers, self.listed.fps), **whole})

    def summary(self) -> str:
        """Return the answers for the terminal, and where they are."""
        annotated = f"\nannotated: {self.folder() / f'annotated-{self.fingerprint}'}" if self.annotate else ""
        page = self.folder() / "predictions.html"
        return f"{(self.folder() / 'table.txt').read_text()}\npredictions: {page}{annotated}"


def _paths_and_windows(listed: Listed) -> "tuple[dict[str, str], dict[str, Window]]":
    """Return the file of each video and window that is asked about, by id, and what the windows are."""
    from pipeline.results.answers import Window

    paths = {id: files.get("video") or files["skeleton"] for id, files in listed.videos.items()}
    windows = {window: Window(film, *span) for film, spans in listed.windows.items() for window, span in spans.items()}
    return paths | {id: paths[window.film] for id, window in windows.items()}, windows
