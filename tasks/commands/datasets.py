"""Tells of each data set where it is had, and what of it is here: ``kinescope datasets``."""

import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from data import DATASETS
from data.base import Dataset
from pipeline.config import unknown
from pipeline.errors import InputError
from pipeline.files.user_input import resolve
from pipeline.results.tables import aligned, ruled
from tasks import settings
from tasks.experiment import load_experiment
from tasks.quantities import format_count
from tasks.recipes import bundled

WIDTH = 100
"""Largest number of characters in a line of a paragraph."""


class Use(NamedTuple):
    """Data set, or a part or a form of one, as bundled recipes use it.

    Attributes
    ----------
    dataset : Dataset
        The data set with the default protocol.
    recipes : list of str
        Names of the recipes.
    """

    dataset: Dataset
    recipes: list[str]

    def __str__(self) -> str:
        first, *others = self.recipes
        return f"{first} and {format_count(len(others), 'other recipe')}" if others else first


def datasets(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Name of the one that is described.")] = None,
    root: Annotated[str | None, typer.Option(help="Folder of its files; by default that of data_roots.")] = None,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download what is missing, where that is allowed: kth.")
    ] = False,
) -> None:
    """Tell where each data set is had, its licence, its size, the layout expected, and what is missing of it here."""
    if name is None and (root is not None or fetch):
        raise InputError("--root and --fetch are about one data set: give its name, such as kth")
    if name is not None and name not in DATASETS:
        raise InputError(unknown("data set", name, DATASETS))
    if name is not None and fetch:
        _fetch(name, root)
    if name is not None and root is not None and not _has_root(name):
        raise InputError(f"{name} has no folder that --root could name. {DATASETS[name].publication.access}")
    for line in overview() if name is None else describe(name, root):
        typer.echo(line)


def overview() -> Iterator[str]:
    """Yield a table of all data sets, and how many of the bundled recipes have their data here."""
    rows = [("data set", "examples", "size", "licence", "recipes whose data are here", "from")]
    for name, kind in DATASETS.items():
        of = kind.publication
        examples = f"{of.videos:,}" if of.videos else "–"
        rows.append((name, examples, of.size or "–", of.licence, _ready(name), of.homepage or "–"))
    yield from ruled(rows)
    yield ""
    yield "kinescope datasets NAME says how one is had, in which layout, and what is missing below its root"


def describe(name: str, root: str | None) -> Iterator[str]:
    """Yield lines on a data set: where it is had, its layout, and what is missing below the given root."""
    kind = DATASETS[name]
    published = kind.publication
    yield f"{name}: {published.title}"
    facts = {"from": published.homepage, "size": published.size, "licence": published.licence}
    yield from aligned([(what, said) for what, said in facts.items() if said], indent="  ")
    for paragraph in (published.access, *_documentation(kind)):
        yield ""
        yield from textwrap.wrap(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)
    if _has_root(name):
        yield ""
        yield from _missing(name, _root(name, root))


@cache
def uses() -> dict[str, list[Use]]:
    """Return by data set what bundled recipes use of it."""
    found: dict[Dataset, list[str]] = {}
    for recipe in bundled():
        found.setdefault(load_experiment(recipe).dataset.plain.without_protocol(), []).append(recipe)
    return {
        name: used for name in DATASETS if (used := [Use(each, found[each]) for each in found if each.name == name])
    }


def _missing(name: str, root: Path | None) -> Iterator[str]:
    if root is None:
        yield f"no folder is known: {_naming_one(name)}"
        return
    yield f"below {root}"
    if not root.is_dir():
        yield "  nothing: there is no such folder"
        return
    for use in uses()[name]:
        try:
            listing = use.dataset.listing(root)
        except InputError as error:
            yield f"  {use}: {error}"
        else:
            yield f"  {use}: complete, {len(listing.videos):,} examples of {len(listing.classes)} classes"
    if name not in settings.current().data_roots:
        yield f'recipes find it by data_roots = {{"{name}": "{root}"}} in section [kinescope] of luigi.cfg'


def _ready(name: str) -> str:
    """Return how many of the recipes on a data set have their data here."""
    used = uses().get(name, [])
    ready = [use for use in used if use.dataset.generated or _is_complete(use.dataset)]
    return f"{sum(len(use.recipes) for use in ready)} of {sum(len(use.recipes) for use in used)}" if used else "–"


def _is_complete(dataset: Dataset) -> bool:
    try:
        dataset.listing(settings.data_root(dataset))
    except InputError:
        return False
    return True


def _has_root(name: str) -> bool:
    """Return whether a setting names the folder of a data set: it is not generated, and no recipe names it itself."""
    return name in uses() and not DATASETS[name].generated


def _root(name: str, given: str | None) -> Path | None:
    """Return the absolute folder that was given, or else that a setting names; None where there is none."""
    if given == "":
        raise InputError("--root is empty; a folder is needed")
    root = given if given is not None else settings.current().data_roots.get(name)
    return None if root is None else resolve(root)


def _naming_one(name: str) -> str:
    return f'add --root FOLDER, or set data_roots = {{"{name}": "FOLDER"}} in section [kinescope] of luigi.cfg'


def _fetch(name: str, given: str | None) -> None:
    """Download what is missing. Raises InputError that says how the data set is had, where that is not allowed."""
    kind, root = DATASETS[name], _root(name, given)
    if not kind.fetchable:
        raise InputError(f"{name} cannot be fetched from here. {kind.publication.access} {kind.publication.homepage}")
    if root is None:
        raise InputError(f"--fetch needs a folder: {_naming_one(name)}")
    if root.exists() and not root.is_dir():
        raise InputError(f"--fetch needs a folder: {root} is a file; name one that is a folder, or not there yet")
    if settings.current().offline:
        raise InputError(
            f"--fetch would download {name}, and offline = true in {settings.SECTION} forbids it: fetch it where there "
            f"is a network, into {root} or a folder that is copied there"
        )
    typer.echo(f"{kind.publication.title}, {kind.publication.homepage}: {kind.publication.licence}")
    kind.fetch(root)


def _documentation(kind: type[Dataset]) -> Iterator[str]:
    """Yield the paragraphs of a class's docstring, and the papers it refers to."""
    text, _, after = (inspect.getdoc(kind) or "").partition("References\n----------\n")
    papers = after.partition("Examples\n--------\n")[0]
    for paragraph in filter(None, (*text.strip().split("\n\n"), *papers.strip().split("\n\n"))):
        yield " ".join(paragraph.split()).replace("``", "")
