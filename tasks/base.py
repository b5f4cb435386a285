"""Base classes of the tasks: parameters that are whole configurations, and outputs named by fingerprints."""

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
from pipeline.errors import NO_PATH, DamagedStore, InputError, lack_of_memory, lacks_space, path_of
from pipeline.files.atomic import copy
from pipeline.files.user_input import brief, read_json
from pipeline.rows import Failure
from tasks import settings
from tasks.memory import MEMORY
from tasks.snapshot import snapshot, superseded

T = TypeVar("T")

UNFIT = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
OPENCV = ("opencv-contrib-python-headless", "opencv-python-headless", "opencv-contrib-python", "opencv-python")
"""Distributions that each bring the same package; one of them is installed."""
CHECKPOINTS = ("checkpoint.pt", "checkpoint-phase-1.pt")
"""Names of the files from which trainings go on, the first phase's apart where there are two."""
LEAVE_ALONE = "leave the data as they are while a run is at work"
VERSIONS_OF = (
    *("kinescope", "torch", "torchvision", *OPENCV, "h5py", "av", "scikit-learn"),
    *("numpy", "scipy", "numba", "triton", "pydantic"),
)


class ConfigParameter(luigi.Parameter[T]):
    """Parameter that holds a whole configuration; on the command line it is JSON.

    Parameters
    ----------
    kind : type
        The type of the configuration.
    **named
        As for ``luigi.Parameter``.
    """

    def __init__(self, kind: Any, **named: Any) -> None:
        super().__init__(**named)
        self._kind = kind

    def parse(self, text: str) -> T:
        """Parse a configuration from JSON. Raises InputError that says what would be right."""
        parsed: T = parse(self._kind, read_json(text, "a configuration"))
        return parsed

    def serialize(self, config: Any) -> str:
        return json.dumps(adapter(self._kind).dump_python(config, mode="json"), sort_keys=True)


class SettingsTask(luigi.Task):
    """Task that takes the settings along to the process that runs it."""

    @property
    def title(self) -> str:
        """Name for people, in front of its progress bar."""
        return str(self.task_family)

    @property
    def on_gpu(self) -> bool:
        """True where it uses a GPU in this run."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        own = {name: value for name, value in vars(self).items() if name != MEMORY}
        return {**own, "settings": settings.handed_on()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        settings.adopt(state["settings"])
        self.__dict__.update({name: value for name, value in state.items() if name != "settings"})


class Outdated(InputError):
    """What a task is computed from changed while it was computed."""


class Root(SettingsTask):
    """Task that decides what there is to do.

    It fails only because of mistakes that the user can mend, so it is not tried again.
    """

    retry_count = 1

    @abstractmethod
    def up_to_date(self) -> bool:
        """Return whether everything is there. May raise InputError."""

    def complete(self) -> bool:
        """Return ``up_to_date()``, or False where that meets a mistake, which ``run`` then raises again."""
        try:
            return self.up_to_date()
        except (InputError, IsADirectoryError):
            return False

    def read_when_complete(self, needed: Callable[[], Iterable[Any]], read: Callable[[], T]) -> Generator[Any, Any, T]:
        """Yield what is needed, and return what ``read`` returns once all of it is there, of one state of the data.

        A file that ``read`` finds damaged has been set aside by then, and is made again first. Where another state has
        come by the time ``read`` ends, it is done once more.

        Parameters
        ----------
        needed : callable
            Returns an iterable of tasks, or of lists of tasks, which are required one after another.
        read : callable
            Reads their outputs.

        Raises
        ------
        Outdated
            Where the state changes once more.
        """
        outdated = False
        while True:
            with snapshot():
                try:
                    yield from needed()
                    found = read()
                except DamagedStore as error:
                    logging.getLogger("luigi-interface").warning(str(error))
                    continue
                changes = superseded(lambda: self.output().path)
            if not changes:
                return found
            said = f"{self.task_family}: what it reads changed meanwhile ({'; '.join(changes)})"
            if outdated:
                raise Outdated(f"{said}, again; {LEAVE_ALONE}")
            outdated = True
            logging.getLogger("luigi-interface").warning(f"{said}: it is read once more")

    @staticmethod
    def allow(failures: Mapping[str, Failure], consequence: str) -> None:
        """Accept the failed videos, or raise InputError with their list where the settings allow fewer."""
        allowed = settings.current().max_failed_videos
        if len(failures) > allowed:
            listed = "".join(f"\n  {video}: {failure.reason}" for video, failure in failures.items())
            raise InputError(
                f"videos that could not be used: {len(failures)}; max_failed_videos in [kinescope] allows {allowed}; "
                f"{consequence}:{listed}"
            )


class Stage(SettingsTask):
    """Step whose output's path carries the fingerprint of all that may change it."""

    @property
    def uses_gpu(self) -> bool:
        """True where a GPU makes it faster; luigi's resource ``gpu`` limits how many use one at a time."""
        return False

    def device(self) -> str:
        """Return the torch device that it computes on: the CPU where it makes no use of a GPU.

        Raises InputError where CUDA is asked for and absent.
        """
        return settings.device() if self.uses_gpu else "cpu"

    @property
    def on_gpu(self) -> bool:
        return self.uses_gpu and settings.wants_gpu()

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Fingerprint of the output: 12 hexadecimal digits."""

    @abstractmethod
    def path(self) -> Path:
        """Return the file whose existence means that the stage is complete."""

    @abstractmethod
    def origin(self, **more: Any) -> dict[str, Any]:
        """Return the provenance of its file: what it is computed from, and in ``more`` how."""

    @abstractmethod
    def compute(self) -> None:
        """Make the file."""

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(self.path()))

    @property
    def resources(self) -> dict[str, int]:  # type: ignore[override]
        """Resources of luigi: tasks that make the same file take turns, and so do tasks that use GPUs."""
        return {str(self.path()): 1} | ({"gpu": 1} if self.on_gpu else {})

    def run(self) -> Iterator[Any]:
        """Compute the output from one state of all that it depends on.

        Where a file that is read turns out damaged, have it made again first. Where another state has come by the time
        the output is finished, compute it once more, from that; where that changes as well, fail and say what did.
        """
        settings.limit_gpus()
        settings.limit_threads()
        outdated = False
        while not self.complete():
            try:
                with snapshot(), settings.exclusive(self.path()):
                    if not self.complete() and not self.take_over():  # another run may just have made it
                        self.compute()
            except Outdated as error:
                if outdated:
                    yield Mistake(sentence=f"{error}, again; {LEAVE_ALONE}")
                outdated = True
                logging.getLogger("luigi-interface").warning(f"{error}: it is computed once more")
                yield self.requires()
            except DamagedStore as error:
                logging.getLogger("luigi-interface").warning(str(error))
                yield self.requires()
            except FileNotFoundError:
                if self.complete():  # another run was faster, and has cleared up
                    return
                if all(needed.complete() for needed in luigi.task.flatten(self.requires())):
                    raise
                yield self.requires()  # another state has come that was not computed yet
            except Exception as error:
                sentence = user_message(error)
                if sentence is None:
                    raise
                yield Mistake(sentence=sentence)

    def provenance(self, **more: Any) -> dict[str, Any]:
        """Return the origin of what was computed, without which nothing is sealed. Raises Outdated as ``confirm``."""
        self.confirm()
        return self.origin(**more)

    def confirm(self) -> None:
        """Raise Outdated where the output would be another by now, as what it is computed from has changed."""
        if changes := superseded(self.path):
            raise Outdated(f"{self}: what it is computed from changed meanwhile ({'; '.join(changes)})")

    def take_over(self) -> bool:
        """Link the output of another data set's folder whose fingerprint is the same, if there is one that is whole."""
        from pipeline.files import tensors
        from pipeline.scoring.scores import Scores

        read_whole = {".safetensors": tensors.read, ".npz": Scores.load}
        path = self.path()
        for other in elsewhere(path) if path.suffix in read_whole else ():  # rows are taken over one by one
            try:
                read_whole[path.suffix](other)
            except DamagedStore as error:
                logging.getLogger("luigi-interface").warning(str(error))
            else:
                copy(other, path)
                return True
        return False

    def __str__(self) -> str:
        try:
            return f"{self.task_family} {self.path().relative_to(settings.store())}"
        except InputError:  # a task must have a name where what it needs is missing
            return str(self.task_id)


class Mistake(Root):
    """Mistake that trying again would not mend: a task that fails once, on which the stages that met it wait."""

    sentence = luigi.Parameter()

    def up_to_date(self) -> bool:
        return False

    def run(self) -> None:
        raise InputError(self.sentence)


def user_message(error: BaseException) -> str | None:
    """Return the sentence that says what the user can do about an error; None where that is nothing."""
    if isinstance(error, InputError):
        return str(error)
    if lacks_space(error):
        place = path_of(error) or settings.store()
        return f"no space left on {place}: free some and run again; finished rows are kept"
    if lack := lack_of_memory(error):
        said = f": {first}" if (first := str(lack).strip().partition("\n")[0]) else ""
        return f"not enough memory{said}; free some, or ask for less, and run again; finished rows are kept"
    if isinstance(error, IsADirectoryError):
        return f"{error.filename2 or error.filename} is a folder, where a file belongs: move it away, and run again"
    if isinstance(error, OSError) and _unfit(error):
        return f"{error.filename}: {error.strerror}; the store in [kinescope] must be a writable folder"
    if isinstance(error, OSError) and error.errno in NO_PATH:
        return f"{brief(error.filename)}: {error.strerror}; a path that a file can have is needed"
    if isinstance(error, luigi.parameter.MissingParameterException):
        return str(error).rpartition("]: ")[2]
    return None


def _unfit(error: OSError) -> bool:
    """Return whether the store, or a place in it, is not writable."""
    place, store = str(error.filename), str(settings.store())
    return place.startswith(store) and (error.errno in UNFIT or (error.errno == errno.ENOENT and place == store))


def origin(stage: Stage, components: Any, upstream: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """Return the provenance of a sealed file.

    Parameters
    ----------
    stage : Stage
        The stage that makes the file.
    components : Any
        Its significant configuration.
    upstream : Mapping of str
        Fingerprints and digests of what it is computed from, by name.
    **more
        Further facts, such as the device.
    """
    return {
        "stage": stage.task_family,
        "fingerprint": stage.fingerprint,
        "file": stage.path().name,
        **{name: number for name in ("fold", "seed") if (number := getattr(stage, name, None)) is not None},
        "components": components,
        "upstream": upstream,
        "versions": versions(),
        "commit": _commit(),
        "threads": settings.current().workers,
        **more,
    }


@lru_cache
def versions() -> dict[str, str]:
    """Python's, and those of the distributions that are installed; Triton is no part of every platform's torch."""
    found = {"python": platform.python_version()}
    for name in VERSIONS_OF:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@lru_cache
def _commit() -> str:
    """Return the git commit of this code, "unknown" outside a checkout."""
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


def elsewhere(path: Path) -> list[Path]:
    """Return the files in other data sets' folders of the same stage whose name fits; no link is followed."""
    found = sorted(settings.store().glob(f"*/{path.parent.name}"))
    others = [folder for folder in found if folder != path.parent]  # its own, which holds the most, is not listed
    real = [folder for folder in others if not any(map(Path.is_symlink, (folder, folder.parent)))]
    return [file for folder in real for file in sorted(folder.glob(path.name)) if not file.is_symlink()]


def checkpoints(output: Path) -> list[Path]:
    """Return the checkpoints that an interrupted training left beside its output."""
    return [path for name in CHECKPOINTS if (path := output.with_name(name)).exists()]


def clear_checkpoints(output: Path) -> None:
    """Delete the checkpoints beside a finished output."""
    for checkpoint in checkpoints(output):
        checkpoint.unlink(missing_ok=True)


class Terminated(SystemExit):
    """Raised in a worker that receives SIGTERM."""


class UserErrorFilter(logging.Filter):
    """Filter of log records: an error that a user can mend becomes one sentence without a traceback.

    The end of a run that the user interrupted is not logged at all.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Terminated):
            return False
        sentence = user_message(error) if error else None
        if sentence is not None:
            record.msg, record.args, record.exc_info, record.exc_text = sentence, (), None, None
        return True
