"""What all tasks share: parameters that are whole configurations, and outputs named by fingerprints."""

import errno
import json
import logging
import os
import platform
import subprocess
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import luigi

from pipeline.config import adapter, parse
from pipeline.errors import DamagedStore, InputError, lacks_space
from pipeline.rows import Failure
from tasks import settings

T = TypeVar("T")

UNFIT = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
OPENCV = ("opencv-contrib-python-headless", "opencv-python-headless", "opencv-contrib-python", "opencv-python")
"""Distributions that each bring the same package; one of them is installed."""
VERSIONS_OF = (
    *("kinescope", "torch", "torchvision", *OPENCV, "h5py", "av", "scikit-learn"),
    *("numpy", "scipy", "numba", "triton", "pydantic"),
)


class ConfigParameter(luigi.Parameter[T]):
    """A configuration, whole, of the type ``kind``; on the command line it is JSON."""

    def __init__(self, kind: Any, **named: Any) -> None:
        super().__init__(**named)
        self._kind = kind

    def parse(self, text: str) -> T:
        """Raises InputError that says what would be right."""
        try:
            parsed: T = parse(self._kind, json.loads(text))
        except json.JSONDecodeError as error:
            raise InputError(f"a configuration in JSON is needed, not {text!r}: {error}") from None
        return parsed

    def serialize(self, config: Any) -> str:
        return json.dumps(adapter(self._kind).dump_python(config, mode="json"), sort_keys=True)


class SettingsTask(luigi.Task):
    """A task that takes the settings along to the process that runs it."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "settings": settings.handed_on()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        settings.adopt(state["settings"])
        self.__dict__.update({name: value for name, value in state.items() if name != "settings"})


class Root(SettingsTask):
    """A task that decides what there is to do. It fails by the user's mistakes alone: trying again would not help."""

    retry_count = 1

    @abstractmethod
    def up_to_date(self) -> bool:
        """Whether everything is there. May raise InputError."""

    def complete(self) -> bool:
        """As ``up_to_date``; a mistake that it meets is left to ``run``, which meets it again and says so."""
        try:
            return self.up_to_date()
        except InputError:
            return False

    @staticmethod
    def read_when_complete(needed: Callable[[], Iterable[Any]], read: Callable[[], T]) -> Generator[Any, Any, T]:
        """What ``read`` returns once all that is ``needed``, task after task or list after list, is there.

        A file that it finds damaged was set aside, and is made again first.
        """
        while True:
            yield from needed()
            try:
                return read()
            except DamagedStore as error:
                logging.getLogger("luigi-interface").warning(str(error))

    @staticmethod
    def allow(failures: Mapping[str, Failure], consequence: str) -> None:
        """Raises InputError with the list of failed videos where there are more than the settings allow."""
        allowed = settings.current().max_failed_videos
        if len(failures) > allowed:
            listed = "".join(f"\n  {video}: {failure.reason}" for video, failure in failures.items())
            raise InputError(
                f"videos that could not be used: {len(failures)}, and max_failed_videos in [kinescope] "
                f"allows {allowed}; {consequence}:{listed}"
            )


class Stage(SettingsTask):
    """One step whose output's path carries the fingerprint of all that may change it."""

    @property
    def uses_gpu(self) -> bool:
        """Whether it runs on the GPU where there is one; luigi's resource ``gpu`` says how many may at a time."""
        return False

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """12 hexadecimal digits."""

    @abstractmethod
    def path(self) -> Path:
        """The file whose existence means that the stage is complete."""

    @abstractmethod
    def origin(self, **more: Any) -> dict[str, Any]:
        """The provenance of its file: what it is computed from, by names, and ``more`` of how."""

    @abstractmethod
    def compute(self) -> None:
        """Make the file."""

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(self.path()))

    @property
    def resources(self) -> dict[str, int]:  # type: ignore[override]
        """Tasks that lead to the same file (one split, reached by two protocols) take turns, and so do GPUs' users."""
        return {str(self.path()): 1} | ({"gpu": 1} if self.uses_gpu and settings.wants_gpu() else {})

    def run(self) -> Iterator[Any]:
        """Compute, and where a file that is read turns out damaged have it made again first."""
        settings.limit_gpus()
        settings.limit_threads()
        while not self.complete():
            try:
                with settings.exclusive(self.path()):
                    if not self.complete():  # another run may just have made it
                        self.compute()
            except DamagedStore as error:
                logging.getLogger("luigi-interface").warning(str(error))
                yield self.requires()
            except FileNotFoundError:
                if not self.complete():  # else another run was faster, and has cleared up
                    raise
            except Exception as error:
                sentence = user_message(error)
                if sentence is None:
                    raise
                yield Mistake(sentence=sentence)

    def __str__(self) -> str:
        try:
            return f"{self.task_family} {self.path().relative_to(settings.store())}"
        except InputError:  # a task must have a name where what it needs is missing
            return str(self.task_id)


class Mistake(Root):
    """What a stage met that trying again would not mend. It fails once; the stages that yield it are left waiting."""

    sentence = luigi.Parameter()

    def up_to_date(self) -> bool:
        return False

    def run(self) -> None:
        raise InputError(self.sentence)


def user_message(error: BaseException) -> str | None:
    """The sentence that says what the user can do about an error; None for an error that is no user's."""
    if isinstance(error, InputError):
        return str(error)
    if lacks_space(error):
        return f"no space left on {settings.store()}: free some and run again; what was journaled is kept"
    if isinstance(error, MemoryError):
        said = f": {error}" if str(error) else ""
        return f"not enough memory{said}; free some, or ask for less, and run again; what was journaled is kept"
    if isinstance(error, OSError) and _unfit(error):
        return f"{error.filename}: {error.strerror}; the store in [kinescope] must be a folder that can be written"
    if isinstance(error, luigi.parameter.MissingParameterException):
        return str(error).rpartition("]: ")[2]
    return None


def _unfit(error: OSError) -> bool:
    """Whether the store, or a place in it, is none that can be written."""
    place, store = str(error.filename), str(settings.store())
    return place.startswith(store) and (error.errno in UNFIT or (error.errno == errno.ENOENT and place == store))


def origin(stage: Stage, components: Any, upstream: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """The provenance of a sealed file. upstream: fingerprints and digests by name."""
    return {
        "stage": stage.task_family,
        "fingerprint": stage.fingerprint,
        "components": components,
        "upstream": upstream,
        "versions": _versions(),
        "commit": _commit(),
        "threads": settings.current().workers,
        **more,
    }


@lru_cache
def _versions() -> dict[str, str]:
    """Python's, and those of the distributions that are installed; Triton is no part of every platform's torch."""
    found = {"python": platform.python_version()}
    for name in VERSIONS_OF:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@lru_cache
def _commit() -> str:
    """The git commit of this code, "unknown" outside a checkout."""
    here = Path(__file__).parent
    try:
        answer = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()


def checkpoints(output: Path) -> Iterator[Path]:
    """What an interrupted training left beside the file that it was to lead to."""
    return output.parent.glob("checkpoint*.pt")


def clear_checkpoints(output: Path) -> None:
    """Delete them, when the file is there."""
    for checkpoint in checkpoints(output):
        checkpoint.unlink(missing_ok=True)


class Terminated(SystemExit):
    """A worker was told to end."""


class UserErrorFilter(logging.Filter):
    """What a user can mend is logged as its one sentence, without the traceback, and what a user ended not at all."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Terminated):
            return False
        sentence = user_message(error) if error else None
        if sentence is not None:
            record.msg, record.args, record.exc_info, record.exc_text = sentence, (), None, None
        return True
