"""Settings, which change only place or speed: the section [kinescope] of luigi.cfg."""

import multiprocessing
import os
import re
from collections.abc import Mapping
from configparser import BasicInterpolation, InterpolationError
from contextlib import AbstractContextManager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.configuration import LuigiConfigParser, add_config_path, get_config
from luigi.configuration.cfg_parser import CombinedInterpolation, EnvironmentInterpolation

from data.base import Dataset
from pipeline.config import unknown
from pipeline.errors import InputError
from pipeline.files import lock
from pipeline.files.user_input import brief, resolve
from pipeline.fingerprint import short_digest
from pipeline.training import devices
from tasks.memory import observed

DEFAULTS = Path(__file__).with_name("defaults.cfg")
_CONFIGURED = ("/etc/luigi/client.cfg", "/etc/luigi/luigi.cfg", "client.cfg", "luigi.cfg")
"""Files in which luigi looks for settings; later ones override earlier ones."""


class kinescope(luigi.Config):
    """Settings with their defaults; luigi names the section after the class."""

    store = luigi.Parameter(default="store", description="folder of everything that is computed")
    data_roots: luigi.DictParameter[Any] = luigi.DictParameter(
        default={}, description="folder of the files of each data set, by name, in JSON"
    )
    weights = luigi.Parameter(default="weights", description="folder of pretrained weights that are known by name")
    offline = luigi.BoolParameter(
        default=False,
        parsing=luigi.BoolParameter.EXPLICIT_PARSING,
        description="whether nothing may be downloaded, as where there is no network",
    )
    device = luigi.ChoiceParameter(
        default="auto", choices=["auto", "cpu", "cuda"], description="device of networks; auto: a GPU if there is one"
    )
    workers = luigi.IntParameter(default=1, description="number of CPU threads inside one task")
    preparers = luigi.OptionalIntParameter(
        default=None,
        description="number of processes that decode and prepare what one task's network computes on, in extraction "
        "and in fine-tuning; by default none on a CPU, and beside a GPU one a core but for one, at most 8",
    )
    gpus = luigi.IntParameter(default=1, description="number of GPUs inside one task, over which a training spreads")
    shard_size = luigi.IntParameter(
        default=64, description="number of videos in a shard, which one task computes, when a data set is first indexed"
    )
    max_failed_videos = luigi.IntParameter(
        default=0, description="number of unusable videos with which a run may still succeed"
    )


SECTION = "section [kinescope] of luigi.cfg"
BOUNDS = {
    "workers": (1, 1024),
    "preparers": (0, 1024),
    "gpus": (1, 1024),
    "shard_size": (1, 10**6),
    "max_failed_videos": (0, 10**9),
}
"""Smallest and largest value of each setting that is a number."""
MAX_PREPARERS = 8
"""Largest number of preparing processes that is taken by default."""
_adopted: list[kinescope | InputError] = []
_limited: list[int] = []
"""The number of threads that this process last limited its libraries to."""


class Interpolation(BasicInterpolation):
    """Interpolation of ``%(name)s`` by which any other % stands for itself, as it does in names of folders."""

    def before_get(self, parser: Any, section: str, option: str, value: str, defaults: Any) -> str:
        """Return a value as it is meant."""
        return super().before_get(parser, section, option, _LONE_PERCENT.sub(_doubled, value), defaults)

    def before_set(self, parser: Any, section: str, option: str, value: str) -> str:
        """Return a value as it is kept: as it is."""
        return value


_LONE_PERCENT = re.compile(r"(%%|%\(\w+\)s)|%")


def _doubled(percent: re.Match[str]) -> str:
    return percent[1] or "%%"


@cache  # reading the files again would undo what was set since
def complete() -> None:
    """Give every setting that no luigi.cfg names its default, luigi's own settings among them."""
    for path in (DEFAULTS, *_CONFIGURED, os.environ.get("LUIGI_CONFIG_PATH", "")):
        if Path(path).is_file():
            add_config_path(str(path))
    config = get_config()
    if isinstance(config, LuigiConfigParser):
        # luigi has made the parser by now, and a parser has no other way to change how it interpolates
        config._interpolation = CombinedInterpolation(  # type: ignore[attr-defined]
            [Interpolation(), EnvironmentInterpolation()]
        )


def current() -> kinescope:
    """Return the settings; workers have those of the main process, which alone knows the command line's.

    Raises InputError that says what would be right.
    """
    return observed("settings", _current)


def _current() -> kinescope:
    if not _adopted or multiprocessing.parent_process() is None:
        return _checked()
    if isinstance(_adopted[-1], InputError):
        raise _adopted[-1]
    return _adopted[-1]


def handed_on() -> dict[str, str] | str:
    """Return the settings for a worker, or the sentence about what is wrong with them."""
    try:
        return dict(current().to_str_params())
    except InputError as error:
        return str(error)


def adopt(given: dict[str, str] | str) -> None:
    """Take over, in a worker, the settings that came with its task.

    While a task is unpickled its process does not know yet that it is a worker.
    """
    _adopted[:] = [InputError(given) if isinstance(given, str) else kinescope.from_str_params(given)]


def _checked() -> kinescope:
    """Return the settings; they are asked for thousands of times, and change only between runs of one process."""
    config = get_config()
    if not config.has_section("kinescope"):
        return _parsed((), CmdlineParser.get_instance())
    given = tuple(config.items("kinescope", raw=True))
    if any("%" in value or "$" in value for _, value in given):  # each may stand for something else, and that change
        try:
            given = tuple(config.items("kinescope"))
        except InterpolationError as error:
            raise InputError(f"{SECTION}: {error}") from None
    return _parsed(given, CmdlineParser.get_instance())


@lru_cache(maxsize=1)
def _parsed(given: tuple[tuple[str, str], ...], _: CmdlineParser | None) -> kinescope:
    known = [name for name, _ in kinescope.get_params()]
    for name, _value in given:
        if name not in known:
            raise InputError(f"{SECTION}: {unknown('setting', name, known)}")
    try:
        settings = kinescope()
    except (ValueError, RecursionError, luigi.parameter.ParameterException) as error:
        setting = str(error).rpartition("default value of ")[2]
        raise InputError(f"{SECTION}: {setting}: {error.__cause__ or ''}".rstrip(": ")) from None
    for name, (minimum, maximum) in BOUNDS.items():
        if (number := getattr(settings, name)) is None:
            continue
        if number < minimum:
            raise InputError(f"{SECTION}: {name!r}: {number}; at least {minimum} is needed")
        if number > maximum:
            raise InputError(f"{SECTION}: {name!r}: {brief(number)}; at most {maximum} is possible")
    for name in ("store", "weights"):
        try:
            resolve(getattr(settings, name))
        except InputError as error:
            raise InputError(f"{SECTION}: {name!r}: {error}") from None
    roots = settings.data_roots
    if not isinstance(roots, Mapping) or not all(isinstance(root, str) for root in roots.values()):
        raise InputError(f"{SECTION}: 'data_roots': names of data sets with their folders are needed, both in quotes")
    return settings


def store() -> Path:
    """Return the absolute path of the store, the folder of everything that is computed."""
    return _resolved(current().store, _working_directory())


def _working_directory() -> str:
    return observed("working directory", os.getcwd)


@lru_cache
def _resolved(path: str, _: str) -> Path:
    """Resolve a path from the working directory; it is asked for thousands of times, and links are looked up once."""
    return resolve(path)


def exclusive(wanted: Path) -> AbstractContextManager[None]:
    """Return a lock on a file or folder of the store, so that runs that share the store make it in turns."""
    return lock.exclusive(wanted, store() / ".lock")


def dataset_folder(dataset: Dataset) -> Path:
    """Return the folder of a data set in the store: each root has one of its own, as other files may lie there.

    Raises InputError where no setting names the root.
    """
    if dataset.plain.generated:
        return store() / dataset.store_name
    return store() / f"{dataset.store_name}-{_digest(named_root(dataset))}"


def data_root(dataset: Dataset) -> Path:
    """Return the absolute folder of a data set's files.

    Raises InputError where no setting names it, or it does not exist.
    """
    if dataset.plain.generated:
        return dataset_folder(dataset) / "files"
    folder = named_root(dataset)
    if not folder.is_dir():
        raise InputError(f"the data root of {dataset.plain.name!r} is no folder: {folder}{_how_to_get(dataset)}")
    return folder


def named_root(dataset: Dataset) -> Path:
    """Return the absolute folder that the data set, or else a setting, names, whether it exists or not.

    Raises InputError where neither does.
    """
    dataset = dataset.plain
    root = dataset.location or current().data_roots.get(dataset.name)
    if root is None:
        raise InputError(
            f'no data root for {dataset.name!r}: set data_roots = {{"{dataset.name}": "/path/to/it"}} '
            f"in section [kinescope] of luigi.cfg{_how_to_get(dataset)}"
        )
    return _absolute(str(root), _working_directory())


def _how_to_get(dataset: Dataset) -> str:
    if dataset.plain.location is not None:
        return ""
    return f"; kinescope datasets {dataset.plain.name} says where it is had, and in which layout"


@lru_cache
def _absolute(path: str, _: str) -> Path:
    """Return a path from the working directory with its links, by which a root is told apart from others."""
    resolve(path)  # or say that no file can have it
    return Path(os.path.abspath(Path(path).expanduser()))


@lru_cache
def _digest(root: Path) -> str:
    return short_digest([str(root)])


def wants_gpu() -> bool:
    """Return whether tasks that can use a GPU will, without loading torch, as luigi asks in its main process."""
    return devices.wants_gpu(current().device)


def limit_threads() -> None:
    """Limit this process's threads in PyTorch, OpenCV, and the linear algebra of NumPy and SciPy."""
    import cv2
    import scipy.linalg  # noqa: F401 (limits hold for what is loaded)
    import torch
    from threadpoolctl import threadpool_limits

    threads = current().workers
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    if threads not in _limited:  # looking for the libraries takes a fifth of a second
        _limited[:] = [threads]
        threadpool_limits(threads)


def limit_gpus() -> None:
    """Limit the GPUs that this process sees; to be called before CUDA is first used."""
    gpus = current().gpus
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus))))
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible.split(",")[:gpus])


def device() -> str:
    """Return the torch device. Raises InputError where CUDA is asked for and absent."""
    return devices.choose(current().device)


def preparers() -> int:
    """Return the number of processes that prepare what one task's network computes on.

    On a CPU they would only take turns with the network, and luigi's workers extract several shards at a time.
    """
    given: int | None = current().preparers
    if given is not None:
        return given
    return min(devices.cores() - 1, MAX_PREPARERS) if device() == "cuda" else 0
