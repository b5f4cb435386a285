"""Generated data set: videos of articulated figures that perform KTH's six actions, with their skeletons."""

from itertools import product
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from data.base import Listing, Video, by_id
from data.protocols import BySubject
from data.publication import Publication
from data.stick_figures.body import Array, Person, in_picture
from data.stick_figures.motion import ACTIONS, FPS, Performance, perform
from pipeline.config import Few, NonNegative, Seed
from pipeline.errors import InputError
from pipeline.files.atomic import write_text
from pipeline.fingerprint import short_digest

Scenario = Literal["d1", "d2", "d3", "d4"]

_SEGMENTS = "sequences.txt"
_CRF = 23
# What a stream of random numbers decides; the streams are independent of each other.
_PERSON, _OUTFIT, _MOTION, _SCENE, _CAMERA, _DISTANCE = range(6)


class Take(NamedTuple):
    """One file: a subject, counted from 1, performs an action in a scenario."""

    subject: int
    action: str
    scenario: Scenario

    @property
    def stem(self) -> str:
        """Name of the file without its extension."""
        return f"person{self.subject:02d}_{self.action}_{self.scenario}"


class StickFigures(BySubject):
    """Generated data set: videos in the form of KTH, and skeletons in the form of MSR Action3D.

    Each subject performs each action in each scenario: d1 outdoors, d2 outdoors with changing scale, d3 outdoors in
    other clothes, d4 indoors with a shadow on the wall. Videos have 160 × 120 pixels and 25 frames a second. In
    jogging, running and walking the figure crosses the picture and leaves it between repetitions; the skeleton of an
    absent figure is zero, as where a sensor tracks nobody. The same configuration gives the same bytes on the same
    versions of the libraries.

    With ``speed_ratio`` walking, jogging and running are one motion at three speeds. Subjects go at 0.87 to 1.13 times
    the usual speed, and in a single crossing at 0.95 to 1.05 times their own, so that below a ratio of 1.44 some go
    faster in the slower gait than others in the faster one. The speed in the picture depends on the distance as well.

    The protocols are KTH's, the official one with 25 subjects; the default is one trial.

    References
    ----------
    Schüldt, Laptev and Caputo, "Recognizing Human Actions: A Local SVM Approach", ICPR 2004.

    Examples
    --------
    >>> StickFigures(speed_ratio=0.9)
    Traceback (most recent call last):
    pydantic_core._pydantic_core.ValidationError: 1 validation error for StickFigures
    speed_ratio
      Input should be greater than 1 ...
    """

    version: ClassVar[int] = 2
    name: Literal["stick_figures"] = "stick_figures"
    publication: ClassVar[Publication] = Publication(
        title="stick figures",
        access="Nothing has to be downloaded: a run generates the files in its store.",
        licence="none needed: generated",
    )
    generated: ClassVar[bool] = True

    form: Literal["kth1", "kth2"] = Field(
        "kth1", description='"kth1": whole files; "kth2": a segment for each repetition'
    )
    subjects: int = Field(9, ge=2, le=99, description="number of subjects")
    scenarios: tuple[Scenario, ...] = Field(("d1", "d4"), min_length=1, description="scenarios, of d1, d2, d3 and d4")
    repetitions: Few = Field(2, description="repetitions of the action in each file; KTH has 4")
    noise: NonNegative = Field(2.0, description="standard deviation of the camera's noise in grey levels")
    clutter: float = Field(0.2, ge=0, le=1, description="density of the objects in the background")
    occlusion: float = Field(
        0.0, ge=0, le=1, description="fraction of videos with a post or a hedge in front of the figure"
    )
    speed_ratio: float | None = Field(
        None,
        gt=1,
        le=10,
        description="None: each gait has a form of its own; a number: the gaits share one form, and jogging is that "
        "many times as fast as walking, and running as jogging",
    )
    camera_back_m: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="largest additional distance of the camera in metres; each video's is drawn uniformly up to it",
    )
    seed: Seed = Field(0, description="seed of all that is drawn at random")
    trials: Few = Field(1, description="number of random divisions")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.scenarios)) < len(self.scenarios):
            raise ValueError("scenarios must differ from each other")
        return self

    @property
    def all_subjects(self) -> int:
        return self.subjects

    @property
    def store_name(self) -> str:
        return f"{self.name}-{self._digest(self.protocol_fields)}"

    def folder(self, root: Path) -> Path:
        """Return the folder of the files below ``root``; both forms of the same videos share it."""
        return root.resolve() / self._digest(self.protocol_fields | {"form"})

    def generate(self, root: Path) -> None:
        """Make the files that are missing; a video that is there with its skeleton is kept."""
        from pipeline.files.progress import Bar

        folder = self.folder(root)
        if not (folder / _SEGMENTS).exists():
            write_text(folder / _SEGMENTS, self._segments_text())
        missing = [take for take in self._takes() if not all(file.exists() for file in _files(folder, take).values())]
        for take in Bar(missing, desc=f"generating {self.name}", unit="video"):
            self._make(folder, take)

    def generated_files(self, root: Path) -> list[Path]:
        folder = self.folder(root)
        return [folder / _SEGMENTS, *(file for take in self._takes() for file in _files(folder, take).values())]

    def listing(self, root: Path) -> Listing:
        """List all videos, or all repetitions in form "kth2". Raises InputError where files are missing."""
        folder, wanted = self.folder(root), self.generated_files(root)
        missing = [file for file in wanted if not file.exists()]
        if missing:
            raise InputError(f"{len(missing)} of {len(wanted)} generated files are missing, the first is {missing[0]}: "
                             "let generate() make them")  # fmt: skip
        segments = _read_segments(folder / _SEGMENTS) if self.form == "kth2" else {}
        videos = []
        for take in self._takes():
            subject, labels, files = take.stem.split("_")[0], (ACTIONS.index(take.action),), _files(folder, take)
            if self.form == "kth1":
                videos.append(Video(take.stem, files, labels, subject))
            else:
                ranges = segments[take.stem]
                videos += [Video(f"{take.stem}/{n}", files, labels, subject, r) for n, r in enumerate(ranges, start=1)]
        return Listing(ACTIONS, by_id(videos))

    def _digest(self, without: frozenset[str]) -> str:
        return short_digest({"version": self.version, **self.model_dump(mode="json", exclude=set(without))})

    def _takes(self) -> list[Take]:
        return [Take(*take) for take in product(range(1, self.subjects + 1), ACTIONS, self.scenarios)]

    def _rng(self, purpose: int, subject: int, action: int = 0, scenario: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose, subject, action, scenario])

    def _person(self, subject: int) -> Person:
        return Person.draw(self._rng(_PERSON, subject))

    def _performance(self, take: Take) -> Performance:
        rng = self._rng(_MOTION, *_numbers(take))
        person, back_m = self._person(take.subject), self._camera_back_m(take)
        return perform(take.action, person, take.scenario, self.repetitions, self.speed_ratio, back_m, rng)

    def _camera_back_m(self, take: Take) -> float:
        return float(self._rng(_DISTANCE, *_numbers(take)).uniform(0, self.camera_back_m))

    def _segments_text(self) -> str:
        """Write one line for each file as in KTH's 00sequences.txt: ranges count from 1 and include the last frame."""
        lines = []
        for take in self._takes():
            ranges = ", ".join(f"{start + 1}-{end}" for start, end in self._performance(take).segments)
            lines.append(f"{take.stem}\tframes\t{ranges}\n")
        return "".join(lines)

    def _make(self, folder: Path, take: Take) -> None:
        from data.stick_figures.rendering import Outfit, render
        from data.stick_figures.scenes import Scene
        from pipeline.video.encode import write

        person, performance = self._person(take.subject), self._performance(take)
        files = _files(folder, take)
        write_text(files["skeleton"], _skeleton_text(performance))
        outfit = Outfit.draw(self._rng(_OUTFIT, take.subject, scenario=int(take.scenario == "d3")))
        rng, back_m = self._rng(_SCENE, *_numbers(take)), self._camera_back_m(take)
        scene = Scene.draw(take.scenario, self.clutter, self.occlusion, back_m, rng)
        frames = render(performance, person, outfit, scene, self.noise, self._rng(_CAMERA, *_numbers(take)))
        write(files["video"], frames, FPS, crf=_CRF)


def _numbers(take: Take) -> tuple[int, int, int]:
    return take.subject, ACTIONS.index(take.action), int(take.scenario[1:])


def _files(folder: Path, take: Take) -> dict[str, Path]:
    return {"video": folder / f"{take.stem}.mp4", "skeleton": folder / f"{take.stem}_skeleton3D.txt"}


def _skeleton_text(performance: Performance) -> str:
    """Format 20 rows of x y z confidence a frame: confidence is 0 out of view, and all are 0 without a figure."""
    seen = in_picture(performance.joints)[..., None]
    rows: Array = np.concatenate([performance.joints, seen], axis=-1) * performance.present[:, None, None]
    return "".join("{:.6f} {:.6f} {:.6f} {:.6f}\n".format(*row) for row in rows.reshape(-1, 4) + 0.0)


def _read_segments(path: Path) -> dict[str, list[tuple[int, int]]]:
    """Read half-open ranges counted from 0, by the file's stem."""
    segments = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        stem, _, ranges = line.split("\t")
        bounds = [span.split("-") for span in ranges.split(", ")]
        segments[stem] = [(int(first) - 1, int(last)) for first, last in bounds]
    return segments
