"""Commands about new videos: ``kinescope predict``, ``pack`` and ``extract``."""

import json
import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from data.given import check_fps
from extractors import EXTRACTORS
from pipeline.config import one_of, parse
from pipeline.errors import InputError
from pipeline.files.user_input import read_toml
from pipeline.results.recognizer import Answering
from tasks.recognition import check_experiment

Trained = Annotated[
    str,
    typer.Argument(metavar="EXPERIMENT", help="A bundled experiment, a TOML file, or what kinescope pack wrote."),
]
Members = Annotated[
    Answering,
    typer.Option("--runs", help="The runs that answer: the first, all (their mean), or one trained on everything."),
]
Nul = Annotated[bool, typer.Option("-0", help="Paths on standard input end with NUL, as of find -print0.")]
Device = Annotated[Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Device of networks, of this run alone.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Number of tasks at a time.")]
FROM_INPUT = "-"


def predict(
    experiment: Trained,
    videos: Annotated[
        list[str],
        typer.Argument(metavar="PATH…", help="Videos, folders, patterns, CSV files of paths; - reads them from stdin."),
    ],
    runs: Members = "first",
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Probability below which it is 'unknown'.")] = 0.0,
    window_s: Annotated[float | None, typer.Option(help="Ask window by window, of so many seconds.")] = None,
    stride_s: Annotated[float | None, typer.Option(help="Seconds from one window to the next.")] = None,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Folder of the answers; else in the store.")] = None,
    annotate: Annotated[bool, typer.Option("--annotate", help="Write copies with the answer on every frame.")] = False,
    nul: Nul = False,
    device: Device = None,
    workers: Workers = None,
) -> None:
    """Say which class each of some new videos shows; what is not trained yet is trained first."""
    check_experiment(experiment)
    run_task(
        "Classify",
        experiment=experiment,
        videos=json.dumps(list(paths(videos, nul=nul))),
        runs=runs,
        threshold=threshold,
        window_s=window_s,
        stride_s=stride_s,
        out=out,
        annotate=annotate or None,
        kinescope_device=device,
        workers=workers,
    )


def pack(
    experiment: Trained,
    file: Annotated[str, typer.Argument(metavar="FILE", help="File to write.")],
    runs: Members = "first",
    device: Device = None,
    workers: Workers = None,
) -> None:
    """Write what an experiment trained into one file, with which kinescope predict answers on another machine."""
    check_experiment(experiment)
    run_task("Pack", experiment=experiment, file=file, runs=runs, kinescope_device=device, workers=workers)


def extract(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="EXTRACTOR [KEY=VALUE…] PATH…",
            help="An extractor's name or a TOML file with its table, its fields, and videos as predict takes them.",
        ),
    ],
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder of the features.")],
    form: Annotated[
        Literal["h5", "npy"], typer.Option("--format", help="h5, the store's own files, or npy, one an array.")
    ] = "h5",
    shard: Annotated[str, typer.Option(metavar="I/N", help="Compute this part alone, of N that run apart.")] = "1/1",
    fps: Annotated[float | None, typer.Option(help="Frames a second of videos that are folders of pictures.")] = None,
    nul: Nul = False,
    device: Device = None,
    workers: Workers = None,
) -> None:
    """Extract the features of videos alone, without labels or an experiment."""
    check_fps(fps)
    extractor, places = extractor_and_paths(arguments)
    asked = {"extractor": extractor.canonical(), "videos": json.dumps(list(paths(places, nul=nul)))}
    run_task("Features", **asked, out=out, format=form, share=shard, fps=fps, kinescope_device=device, workers=workers)


def paths(given: Sequence[str], *, nul: bool) -> Iterator[str]:
    """Yield the paths that were given, those on standard input in the place of ``-``.

    Raises InputError where standard input lists none.
    """
    for path in given:
        if path != FROM_INPUT:
            yield path
            continue
        listed = os.fsdecode(sys.stdin.buffer.read()).split("\0" if nul else "\n")
        named = [line.removesuffix("\r") if not nul else line for line in listed if line.strip()]
        if not named:
            raise InputError("standard input lists no path; one in each line is needed, or with -0 one before each NUL")
        yield from named


def run_task(name: str, **options: str | float | None) -> None:
    """Run one of luigi's tasks in this process, and exit with luigi's code; options that are None are left out."""
    from luigi.retcodes import run_with_retcodes

    given = {f"--{option.replace('_', '-')}": str(value) for option, value in options.items() if value is not None}
    run_with_retcodes(["--module", "tasks", name, *(word for pair in given.items() for word in pair)])


def extractor_and_paths(arguments: Sequence[str]) -> tuple[Any, list[str]]:
    """Return the extractor that the first arguments describe, and the other arguments, which are paths.

    Parameters
    ----------
    arguments
        The extractor's name, or the path of a TOML file with its table; then fields as KEY=VALUE, with dots between the
        names of nested ones, up to the first argument that is a path, or to ``--``.

    Raises
    ------
    InputError
        Where a field is unknown or wrong, or there is no path.

    Examples
    --------
    >>> extractor, paths = extractor_and_paths(["frames", "short_side=120", "encoding=raw", "a.mp4", "b=c.mp4"])
    >>> extractor.short_side, extractor.encoding, paths
    (120, 'raw', ['a.mp4', 'b=c.mp4'])
    """
    first, *rest = arguments
    table: dict[str, Any] = read_toml(Path(first)) if first.endswith(".toml") else {"name": first}
    fields = 0
    for fields, argument in enumerate([*rest, "--"]):  # noqa: B007 (the last count is the result)
        if argument == "--" or "=" not in argument or Path(argument).exists():
            break
        _set(table, *argument.split("=", 1))
    paths = rest[fields:]
    paths = paths[1:] if paths[:1] == ["--"] else paths
    if not paths:
        raise InputError("no videos were given; paths of files or folders are needed after the extractor")
    return parse(one_of(EXTRACTORS, "extractor"), table), paths


def _set(table: dict[str, Any], key: str, text: str) -> None:
    """Set a nested field; a text that is no TOML value stands for itself."""
    *outer, name = key.split(".")
    for part in outer:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise InputError(f"{key}: {part} is no table, so that it has no field {name!r}")
        table = inner
    try:
        table[name] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[name] = text
