"""The console script ``kinescope``."""

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.errors import InputError
from tasks import settings
from tasks.commands.store_layout import located
from tasks.commands.text_tables import table
from tasks.experiment import load_experiment
from tasks.recipes import bundled, matching
from tasks.runtime.start import start

if TYPE_CHECKING:
    from tasks.evaluation import Evaluate

MISTAKE = 2
DAMAGED = 1
DIFFERENT = 1


class Sentences(TyperGroup):
    """Commands whose users' mistakes end in one sentence."""

    def invoke(self, context: Any) -> Any:
        try:
            return super().invoke(context)
        except InputError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(MISTAKE) from None


app = typer.Typer(cls=Sentences, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Name = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="a bundled name, or the path of a TOML file")]
Place = Annotated[str, typer.Argument(metavar="STORE", help="the store, or in it a data set, a stage or a file")]


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
    """Offline action recognition: features into stores once, sequence models on the stores."""
    start()
    settings.current()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context, experiment: Name) -> None:
    """Evaluate an experiment; options that follow are luigi's own, such as --workers 4."""
    load_experiment(experiment)
    from luigi.retcodes import run_with_retcodes

    run_with_retcodes(["--module", "tasks", "Evaluate", "--experiment", experiment, *context.args])


@app.command(name="list")
def list_experiments(pattern: Annotated[str, typer.Argument(help="such as 'kth1-*'")] = "*") -> None:
    """The bundled experiments, or those that a pattern names, with title, table and reported figure."""
    rows = [("experiment", "reported", "table", "title")]
    for name in matching(pattern):
        experiment = load_experiment(name)
        reported = "" if experiment.reported is None else f"{experiment.reported:.2f}"
        rows.append((name, reported, experiment.table, experiment.title))
    _say(table(rows, indent=""))


@app.command()
def show(experiment: Name) -> None:
    """An experiment as it is understood, as JSON: with what it takes from others, and every default."""
    typer.echo(load_experiment(experiment).model_dump_json(indent=1))


@app.command()
def schema() -> None:
    """The JSON schema of experiment files, by which editors complete, explain and check them."""
    from tasks.commands.schema import text

    typer.echo(text())


@app.command()
def why(experiment: Name) -> None:
    """What a run would do, and because of what."""
    from tasks.commands.why import why as lines

    _say(lines(_evaluation(experiment)))


@app.command()
def inspect(
    store: Place = "",
    video: Annotated[str | None, typer.Argument(help="a video id: its arrays, with statistics")] = None,
) -> None:
    """What a store holds: arrays with shapes and sizes, where they come from, failures."""
    from tasks.commands.inspection import describe

    _say(describe(located(store), video))


@app.command()
def failures(
    where: Annotated[str, typer.Argument(metavar="[EXPERIMENT or STORE]", help="by default the whole store")] = "",
) -> None:
    """The videos that could not be used, with reasons and the frames that did decode."""
    from tasks.commands.inspection import failed_in, read_by
    from tasks.commands.store_layout import under

    named = where in bundled() or where.endswith(".toml")
    _say(failed_in(read_by(_evaluation(where)) if named else under(located(where, bundled()))))


@app.command()
def verify(store: Place = "") -> None:
    """Read everything that was sealed; what is damaged is set aside, and the next run makes it again."""
    from tasks.commands.verification import sealed
    from tasks.commands.verification import verify as damaged

    files = sealed(located(store))
    found = _say(damaged(files))
    typer.echo(f"{len(files)} files read, {found} damaged" + (": the next run makes them again" if found else ""))
    raise typer.Exit(DAMAGED if found else 0)


@app.command()
def gc(
    experiments: Annotated[list[str] | None, typer.Argument(metavar="[EXPERIMENT ...]", help="what to keep")] = None,
    all_bundled: Annotated[
        bool, typer.Option("--all-bundled", help="keep what any bundled experiment reaches")
    ] = False,
    delete: Annotated[bool, typer.Option("--delete", help="free it; else it is only listed")] = False,
) -> None:
    """List, or free, what the named experiments do not reach: other stages, superseded shards, damaged files.

    Stages written to within the last hour stay, and while a run computes nothing is freed. Older stages that a run
    still reads are safe only where its experiment is named.
    """
    from tasks.commands.garbage import collect, present

    named = [_evaluation(name) for name in experiments or []]
    kept = [*named, *(present(map(_evaluation, bundled())) if all_bundled else [])]
    if not kept:
        none = "the store has nothing of the bundled experiments: " if all_bundled else ""
        raise InputError(f"{none}name experiments to keep, such as kinescope gc stick-figures, or give --all-bundled")
    _say(collect(kept, delete=delete))


@app.command()
def export(
    store: Place,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="a new folder, or one of an export that was interrupted")],
    npy: Annotated[bool, typer.Option("--npy", help="one .npy file an array")] = False,
) -> None:
    """Write OUT/<video id>/<variant>/<array>.npy, and labels, failures and provenance as JSON."""
    from tasks.commands.export import export as write

    if not npy:
        raise InputError("in which form? --npy writes one .npy file an array")
    new, gone = write(located(store), out)
    removed = f", {gone} removed that the store no longer has" if gone else ""
    typer.echo(f"{new} rows written{removed}, and all are there: {out}")


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="a stage or file with rows, plain HDF5, or a folder of .npy")],
    b: Annotated[str, typer.Argument(metavar="B", help="another of the same videos")],
    array: Annotated[str | None, typer.Option(help="compare this one alone, such as features-trial-1")] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="numbers that differ by no more are equal")] = 0.0,
    top: Annotated[int, typer.Option(min=0, help="so many of the worst are listed")] = 20,
) -> None:
    """How far the features of two stores are apart: cosines, largest difference, what is missing; flow in px.

    Ends with 0 where they are equal, with 1 where they are not.
    """
    from tasks.commands.comparison import differences, told

    found = differences(located(a), located(b), array)
    _say(told(found, tolerance, top))
    raise typer.Exit(0 if all(one.within(tolerance) for one in found) else DIFFERENT)


def _evaluation(name: str) -> "Evaluate":
    from tasks.evaluation import Evaluate

    load_experiment(name)
    return Evaluate(experiment=name)


def _say(lines: Iterable[str]) -> int:
    """Print lines as they come; returns how many there were."""
    count = 0
    for count, line in enumerate(lines, start=1):  # noqa: B007 (the last count is the result)
        typer.echo(line)
    return count
