"""The console script ``kinescope``."""

import os
from pathlib import Path
from typing import Annotated

import typer
from luigi.configuration import add_config_path

from pipeline.errors import InputError
from tasks.experiment import bundled, load_experiment

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _main() -> None:
    """Offline action recognition: features into stores once, sequence models on the stores."""


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(
    context: typer.Context,
    experiment: Annotated[str, typer.Argument(help="a bundled experiment's name, or the path of a TOML file")],
) -> None:
    """Evaluate an experiment; options that follow are luigi's own, such as --workers 4."""
    if not Path("luigi.cfg").exists() and "LUIGI_CONFIG_PATH" not in os.environ:
        add_config_path(str(Path(__file__).parent.parent / "luigi.cfg"))
    try:
        load_experiment(experiment)
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(code=2) from None
    from luigi.retcodes import run_with_retcodes

    run_with_retcodes(["--module", "tasks", "Evaluate", "--experiment", experiment, *context.args])


@app.command(name="list")
def list_experiments() -> None:
    """The bundled experiments, with title, table and reported figure."""
    rows = [("experiment", "reported", "table", "title")]
    for name in bundled():
        experiment = load_experiment(name)
        reported = "" if experiment.reported is None else f"{experiment.reported:.2f}"
        rows.append((name, reported, experiment.table, experiment.title))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        typer.echo("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
