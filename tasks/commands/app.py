"""The console script ``kinescope``."""

import signal
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.errors import InputError
from pipeline.results.tables import aligned
from tasks import settings
from tasks.base import user_message
from tasks.commands.datasets import datasets
from tasks.commands.new_videos import extract, pack, predict
from tasks.commands.store_layout import resolve_path
from tasks.commands.weights import app as weights
from tasks.experiment import load_experiment
from tasks.quantities import format_count
from tasks.recipes import bundled, matching
from tasks.runtime.start import INTERRUPTED, start

if TYPE_CHECKING:
    from tasks.evaluation import Evaluate

MISTAKE = 2
DAMAGED = 1
DIFFERENT = 1


class Sentences(TyperGroup):
    """Group of commands that report what a user can mend as one sentence, without a traceback."""

    def invoke(self, context: Any) -> Any:
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            typer.echo(INTERRUPTED, err=True)
            raise typer.Exit(128 + signal.SIGINT) from None
        except Exception as error:
            sentence = user_message(error)
            if sentence is None and isinstance(error, OSError) and error.filename is not None:
                sentence = f"{error.filename}: {error.strerror}; it must be readable, and writable where it is written"
            if sentence is None:
                raise
            typer.echo(f"error: {sentence}", err=True)
            raise typer.Exit(MISTAKE) from None


app = typer.Typer(cls=Sentences, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Name = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="Name of a bundled experiment, or path of a TOML file.")
]
Place = Annotated[
    str, typer.Argument(metavar="STORE", help="Path of the store, or of a data set, stage or file in it.")
]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"kinescope {metadata.version('kinescope')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Recognise actions offline: extract features into stores once, then train sequence models on the stores."""
    start()
    settings.current()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context, experiment: Name) -> None:
    """Evaluate an experiment. Further options are passed on to luigi, such as --workers 4."""
    load_experiment(experiment)
    from luigi.retcodes import run_with_retcodes

    run_with_retcodes(["--module", "tasks", "Evaluate", "--experiment", experiment, *context.args])


app.command()(predict)
app.command()(pack)
app.command()(extract)
app.command()(datasets)
app.add_typer(weights, name="weights")


@app.command(name="list")
def list_experiments(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Pattern of names, such as 'kth1-*'.")] = "*",
) -> None:
    """List the bundled experiments, or those that match a pattern, with reported figure, table and title."""
    rows = [("experiment", "reported", "table", "title")]
    for name in matching(pattern):
        experiment = load_experiment(name)
        reported = "" if experiment.reported is None else f"{experiment.reported:.2f}"
        rows.append((name, reported, experiment.table, experiment.title))
    _say(aligned(rows))


@app.command()
def show(experiment: Name) -> None:
    """Print an experiment in full, as JSON, with every default and all that it takes from other experiments."""
    typer.echo(load_experiment(experiment).model_dump_json(indent=1))


@app.command()
def schema() -> None:
    """Print the JSON schema of experiment files, by which editors complete, explain and check them."""
    from tasks.commands.schema import text

    typer.echo(text())


@app.command()
def why(experiment: Name) -> None:
    """Explain what a run would compute, and which change is the reason."""
    from tasks.commands.why import explain

    _say(explain(_evaluation(experiment)))


@app.command()
def status(experiment: Name) -> None:
    """Tell how far a run has come, here or in another terminal: stages, videos, and about how long the rest takes."""
    from tasks.commands.progress import describe

    _say(describe(_evaluation(experiment)))


@app.command()
def inspect(
    store: Place = "",
    video: Annotated[
        str | None, typer.Argument(metavar="VIDEO", help="Id of a video whose arrays are shown, with statistics.")
    ] = None,
) -> None:
    """Show what a store holds: arrays with shapes and sizes, provenance and failures."""
    from tasks.commands.inspection import describe

    _say(describe(resolve_path(store), video))


@app.command()
def failures(
    where: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT|STORE", help="Experiment, or path in the store; by default the whole store."
        ),
    ] = "",
) -> None:
    """List the videos that could not be used, with the reasons and the number of frames that were decoded."""
    from tasks.commands.inspection import format_failures, stages_read_by
    from tasks.commands.store_layout import stages_under

    named = where in bundled() or where.endswith(".toml")
    _say(format_failures(stages_read_by(_evaluation(where)) if named else stages_under(resolve_path(where, bundled()))))


@app.command()
def verify(store: Place = "") -> None:
    """Read every sealed file in full; damaged ones are set aside, and the next run that needs them makes them again."""
    from tasks.commands.verification import sealed, without_place
    from tasks.commands.verification import verify as damaged

    files = sealed(resolve_path(store))
    found = _say(damaged(files))
    again = f": the next run makes {'it' if found == 1 else 'them'} again" if found else ""
    older = without_place(files)
    before = f"; {format_count(older, 'file')} of before without word of the place where they belong" if older else ""
    typer.echo(f"{format_count(len(files), 'file')} read, {found} damaged{again}{before}")
    raise typer.Exit(DAMAGED if found else 0)


@app.command()
def gc(
    experiments: Annotated[list[str] | None, typer.Argument(metavar="EXPERIMENT", help="Experiments to keep.")] = None,
    all_bundled: Annotated[bool, typer.Option("--all-bundled", help="Keep what any bundled experiment needs.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the files, instead of only listing them.")] = False,
) -> None:
    """List, or delete, what the named experiments do not need: other stages, superseded shards, damaged files.

    Stages that changed within the last hour stay, and nothing is deleted while a run computes.
    Older stages that a run still reads are safe only if its experiment is named.
    """
    from tasks.commands.garbage import collect, present

    named = [_evaluation(name) for name in experiments or []]
    kept = [*named, *(present(map(_evaluation, bundled())) if all_bundled else [])]
    if not kept:
        none = "the store holds nothing of the bundled experiments; " if all_bundled else ""
        raise InputError(f"{none}name experiments to keep, such as kinescope gc stick-figures, or use --all-bundled")
    _say(collect(kept, delete=delete))


@app.command()
def export(
    store: Place,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder, or that of an earlier export.")],
    npy: Annotated[bool, typer.Option("--npy", help="Write one .npy file for each array.")] = False,
) -> None:
    """Export rows to OUT/<video id>/<variant>/<array>.npy, and labels, failures and provenance to JSON files."""
    from tasks.commands.export import export as write

    if not npy:
        raise InputError("no export format was chosen: add --npy, which writes one .npy file for each array")
    new, gone = write(resolve_path(store), out)
    removed = f", {gone} removed that the store no longer holds" if gone else ""
    typer.echo(f"{format_count(new, 'row')} written{removed}; {out} is complete")


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="Stage or file with rows, HDF5 file, or folder of .npy files.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one, of the same videos.")],
    array: Annotated[str | None, typer.Option(help="Compare only this array, such as features-trial-1.")] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest difference between numbers that count as equal.")
    ] = 0.0,
    top: Annotated[int, typer.Option(min=0, help="Number of differing arrays to list, the worst first.")] = 20,
) -> None:
    """Compare two sets of features: cosines, largest differences, missing rows; for flow, the end-point error in px.

    The exit code is 0 if they are equal, 1 if they differ, and 2 if one of them cannot be read.
    """
    from tasks.commands.comparison import differences, format_differences

    found = differences(resolve_path(a), resolve_path(b), array)
    _say(format_differences(found, tolerance, top))
    raise typer.Exit(0 if all(one.within(tolerance) for one in found) else DIFFERENT)


def _evaluation(name: str) -> "Evaluate":
    from tasks.evaluation import Evaluate

    load_experiment(name)
    return Evaluate(experiment=name)


def _say(lines: Iterable[str]) -> int:
    """Print lines as they come, and return their number."""
    count = 0
    for count, line in enumerate(lines, start=1):  # noqa: B007 (the last count is the result)
        typer.echo(line)
    return count
