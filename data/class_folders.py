"""Reading of a user's own data without a manifest: one folder for each class."""

import os
from collections.abc import Iterator
from pathlib import Path

from data.files import is_file, is_folder, visible
from data.manifest import COLUMNS, Example, Examples, told_apart
from data.modality import NAMED_SKELETON_ENDINGS, holds_frames, holds_numbers, holds_video, is_ambiguous, modality
from data.remarks import remark
from pipeline.errors import InputError
from pipeline.files.names import composed, printable


def read_class_folders(root: Path) -> Examples:
    """Read the examples in the folders of a root, each of which is a class and holds its files, or folders of pictures.

    A file whose extension does not tell is a video where it holds one. Where there are videos, texts are skeleton files
    only beside a video of the same name, if at least half of the videos have one and any of these begins with numbers.
    Where there are none, all texts are.

    Raises
    ------
    InputError
        Where a folder cannot be read, lies within a class's folder and is no video, or holds no example; where skeleton
        files without a video of their own outnumber the videos.
    """
    entries = visible(root)
    folders = [Path(entry.path) for entry in entries if is_folder(entry)]
    strays = [entry.name for entry in entries if not is_folder(entry)]
    files = [entry for folder in folders for entry in _files(folder)]
    found = [example for entry in files if (example := _example(entry))]
    taken = told_apart(_without_stray_texts(found, root))
    used = {example.place for example in taken.examples}
    if empty := sorted(set(map(str, folders)) - set(map(os.path.dirname, used))):
        clip = "; numbered pictures must lie in a folder of their own in it, one a video"
        hint = clip if holds_frames(Path(empty[0])) else ""
        raise InputError(
            f"{empty[0]}: no video and no skeleton file ({NAMED_SKELETON_ENDINGS}) in it; "
            f"each folder in the root must be a class{hint}"
        )
    examples = {example.place for example in found}
    others = [_shown(entry.path) for entry in files if entry.path not in examples]
    left_out = [*_left_out([*strays, *others]), *_texts_left_out(sorted(map(_shown, examples - used)))]
    files_taken = [example for example in taken.examples if not example.of_pictures]
    guessed = [_shown(example.place) for example in files_taken if is_ambiguous(example.path)]
    return Examples(taken.examples, (*left_out, *_guessed(guessed), *taken.remarks))


def _files(folder: Path) -> "Iterator[os.DirEntry[str]]":
    """Yield what lies in the folder of a class. Raises InputError where a folder does that is no video."""
    for entry in visible(folder):
        if is_folder(entry) and not holds_frames(Path(entry.path)):
            raise InputError(
                f"{entry.path}: a folder within a class's folder that is no video, with numbered pictures such as "
                "img_00001.jpg and no video file in it; the files must lie directly in the class's folder, "
                f"or a manifest with the columns {', '.join(COLUMNS)} must list them"
            )
        yield entry


def _example(entry: "os.DirEntry[str]") -> Example | None:
    """Return the example in a file or a folder of pictures; None where it is neither a video nor a skeleton file."""
    path = Path(entry.path)
    label = composed(printable(path.parent.name))
    if is_folder(entry):
        return Example(entry.path, f"{path.parent.name}/{path.name}", path, "video", label, of_pictures=True)
    kind = modality(path) if is_file(entry) else None
    if kind is None or (is_ambiguous(path) and not holds_video(path)):
        return None
    return Example(entry.path, f"{path.parent.name}/{path.stem}", path, kind, label)


def _without_stray_texts(found: list[Example], root: Path) -> list[Example]:
    videos = {example.name for example in found if example.modality == "video"}
    texts = [example for example in found if example.modality == "skeleton"]
    alone = [text for text in texts if text.name not in videos and holds_numbers(text.path)]
    if not videos:
        return found  # one that is spoilt is a failure that is listed, and counts as wrong
    if len(alone) > len(videos):
        raise InputError(
            f"{root}: both {len(videos)} videos and {len(alone)} skeleton files ({NAMED_SKELETON_ENDINGS}) of no "
            f"video, such as {_shown(alone[0].place)}; move the videos or these texts elsewhere, or list what is used "
            "in a manifest"
        )
    beside = [text for text in texts if text.name in videos]
    paired = 2 * len(beside) >= len(videos) and any(holds_numbers(text.path) for text in beside)
    return [example for example in found if example.modality == "video" or (paired and example.name in videos)]


def _shown(path: str) -> str:
    return "/".join(path.split("/")[-2:])


def _left_out(names: list[str]) -> tuple[str, ...]:
    why = "not taken, as neither a video nor a skeleton file in the folder of a class"
    return remark(names, f"file is {why}", f"files are {why}")


def _texts_left_out(names: list[str]) -> tuple[str, ...]:
    why = "not taken, as skeleton files begin with numbers, and lie beside at least half of the videos"
    return remark(names, f"text is {why}", f"texts are {why}")


def _guessed(names: list[str]) -> tuple[str, ...]:
    how = "by what it holds, as the extension does not tell"
    return remark(names, f"file is taken as a video {how}", f"files are taken as videos {how}")
