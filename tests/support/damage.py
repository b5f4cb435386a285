"""Ways in which a file of a store may be damaged."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.support.mutations import flipped, truncated

Damage = Callable[[Path, list[Path], random.Random], None]
"""Damages a file, given others of the store."""


def _truncate(file: Path, _: list[Path], rng: random.Random) -> None:
    file.write_bytes(truncated(file.read_bytes(), rng))


def _flip(file: Path, _: list[Path], rng: random.Random) -> None:
    file.write_bytes(flipped(file.read_bytes(), rng))


def _swap(file: Path, others: list[Path], rng: random.Random) -> None:
    """Swap it with another of its kind: of another folder, or of its own."""
    siblings = [other for other in others if other.suffix == file.suffix and other.is_file()]
    if siblings:
        sibling, content = rng.choice(siblings), file.read_bytes()
        file.write_bytes(sibling.read_bytes())
        sibling.write_bytes(content)


def _replace(file: Path, others: list[Path], rng: random.Random) -> None:
    """Replace it by a file of the same type, of another stage where there is one."""
    foreign = [other for other in others if other.parent != file.parent] or others
    if foreign:
        shutil.copyfile(rng.choice(foreign), file)


def _empty(file: Path, _: list[Path], __: random.Random) -> None:
    os.truncate(file, 0)


def _folder(file: Path, _: list[Path], __: random.Random) -> None:
    file.unlink()
    (file / "inside").mkdir(parents=True)


def _permission(file: Path, _: list[Path], __: random.Random) -> None:
    file.chmod(0)


def _link(file: Path, others: list[Path], rng: random.Random) -> None:
    """Put a link in its place: to another file, or to none."""
    target = rng.choice([*others, file.with_name("nowhere")])
    file.unlink()
    file.symlink_to(target)


DAMAGE: dict[str, Damage] = {
    "truncated": _truncate,
    "flipped": _flip,
    "swapped": _swap,
    "replaced": _replace,
    "emptied": _empty,
    "a folder": _folder,
    "unreadable": _permission,
    "a link": _link,
}
