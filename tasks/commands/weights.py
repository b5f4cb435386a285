"""Commands about pretrained weights: ``kinescope weights`` and ``kinescope weights fetch``."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from extractors.libraries.names import LIBRARIES, Library, library_of
from extractors.weights.sources import SOURCES, find_file, record_of, records, source_of
from pipeline.errors import InputError
from pipeline.results.tables import aligned
from tasks import settings
from tasks.pretrained_weights import locate_weights

app = typer.Typer(no_args_is_help=False)


@app.callback(invoke_without_command=True)
def weights(
    context: typer.Context,
    library: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"List all that a library has: {' or '.join(LIBRARIES)}.")
    ] = None,
) -> None:
    """List the pretrained weights that are known by name: which are there, their terms, and where they are had.

    Those of a library, such as torchvision:resnet18.IMAGENET1K_V1, are listed once they are there, or by --library.
    """
    if context.invoked_subcommand is None:
        for line in describe(Path(settings.current().weights), library):
            typer.echo(line)


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="Names, as kinescope weights lists them.")],
) -> None:
    """Download weights that are not there, for machines without a network to share: resumable, and checked."""
    for given in names:
        library = library_of(given)
        name = library.completed(given) if library else given
        if source_of(name) is None:
            raise InputError(f"{name!r} is no known name; kinescope weights lists them")
        typer.echo(f"{name}: {_checked(Path(locate_weights(name)))}")


def describe(folder: Path, library: str | None = None) -> Iterator[str]:
    """Yield the lines of a table of all known weights in a folder, or of all of one library."""
    if library is None:
        names = list(dict.fromkeys([*SOURCES, *(record.name for record in records(folder))]))
    else:
        names = _library(library).all_names()
    rows = [("name", "", "terms", "from")]
    for name in names:
        try:
            source = source_of(name)
        except InputError:  # the library is no longer installed, or has another version
            continue
        if source is not None:
            file = find_file(source, folder)
            rows.append((name, _checked(file) if file else "not there", source.licence, source.url))
    yield from aligned(rows)
    yield f"They lie in {folder.resolve()}. What is not there is downloaded when it is first needed" + (
        ", which offline = true forbids." if settings.current().offline else "."
    )


def _library(name: str) -> Library:
    if name not in LIBRARIES:
        raise InputError(f"no library {name!r}; there are {', '.join(LIBRARIES)}")
    library: Library = import_module(LIBRARIES[name])  # type: ignore[assignment]
    return library


def _checked(file: Path) -> str:
    """Say of a file that is there what is known of its digest."""
    record = record_of(file)
    if record is None:
        return f"{file.name}, put there by hand"
    known = "as its publisher states" if record.stated else "when it came"
    return f"{file.name}, SHA-256 {record.sha256[:8]}… {known}"
