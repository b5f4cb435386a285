"""Explains what a run would compute, and why: ``kinescope why``.

Where the experiment was evaluated before, each stage that is not complete is compared, by provenance, with the nearest
one of its kind in the data set's folder.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.results.sweeps import flat
from pipeline.store import inspection
from tasks import settings
from tasks.base import Stage, checkpoints
from tasks.commands.dependency_order import upstream_first
from tasks.commands.store_layout import stage_folders
from tasks.evaluation import Evaluate
from tasks.features import Extract, ExtractShard
from tasks.fusion import Fuse
from tasks.index import as_if_indexed, library, manifest
from tasks.library import changes, video_changes
from tasks.training import StreamStage

MAX_NAMED = 3
"""Number of reasons that are named."""
ABSENT = "none"
DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def explain(evaluation: Evaluate) -> Iterator[str]:
    """Yield a line for each stage that would run, or one if nothing would. Raises InputError as a run would."""
    index, name = evaluation.index, evaluation.recipe.dataset.store_name
    generating = [task for task in index.requires() if not task.complete()]
    if generating or not manifest(index.dataset).exists():
        if not generating:
            index.dataset.listing(settings.data_root(index.dataset))
        yield (
            f"would run: Generate {name}: some of its files are missing"
            if generating
            else (f"would run: Index {name}: it was never indexed")
        )
        yield "would run: every later stage that the store does not hold for these files"
        return
    survey = None if index.complete() else index.survey()
    if survey is not None:
        yield f"would run: Index {name}: {_joined(changes(library(index.dataset), survey))}"
    with nullcontext() if survey is None else as_if_indexed(index.dataset, survey):
        lines = list(_lines(evaluation))
    yield from lines
    if survey is None and not lines:
        yield "nothing would run"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs in the provenance of two stages: fields and versions, old -> new, and upstream stages."""
    before, now = flat(old["components"]), flat(new["components"])
    for name in sorted(before.keys() | now.keys()):
        if name not in before or name not in now or before[name] != now[name]:
            place, _, leaf = name.rpartition(".")
            what = " of ".join(filter(None, ("version", place))) if leaf == "version" else f"field {name}"
            yield f"{what} {_shown(before, name)} -> {_shown(now, name)}"
    fresh = [name for name, value in new["upstream"].items() if old["upstream"].get(name) != value]
    stages = [name for name in fresh if not name.endswith(" videos")]
    yield from (f"upstream {name} changed" if name in old["upstream"] else f"upstream {name} is new" for name in stages)
    if fresh and not stages:  # else other rows are those of the changed stage
        yield f"{fresh[0]} or their labels changed" if "names" not in fresh[0] else f"{fresh[0]} changed"


def _lines(evaluation: Evaluate) -> Iterator[str]:
    shortcoming = evaluation.shortcoming()
    if shortcoming is None:  # what the report was made from may be gone
        return
    missing = upstream_first(evaluation.runs.stages(), lambda stage: not stage.complete())
    stages = dict.fromkeys(stage.extraction if isinstance(stage, ExtractShard) else stage for stage in missing)
    former = _former(evaluation)
    running = [(kind_of(stage), _joined(_reasons(stage, compared=former is not None)), stage) for stage in stages]
    places = list(dict.fromkeys((title, reasons) for title, reasons, _ in running))
    running.sort(key=lambda line: places.index(line[:2]))
    for (title, reasons), group in groupby(running, key=lambda line: line[:2]):
        yield f"would run: {title}{_count([stage for *_, stage in group])}: {reasons}"
    reasons = _report_reasons(evaluation, former, shortcoming, [title for title, *_ in running])
    yield f"would run: Evaluate: {_joined(reasons)}"


def _count(stages: list[Stage]) -> str:
    shards = [shard for stage in stages if isinstance(stage, Extract) for shard in stage.requires()]
    if shards:
        return f" ({sum(not shard.complete() for shard in shards)} of {len(shards)} shards)"
    return f" ({len(stages)} times)" if len(stages) > 1 else ""


def kind_of(stage: Stage) -> str:
    """Return the kind of a stage, with its model or the name of its folder."""
    if isinstance(stage, Fuse):
        return str(stage.task_family)
    if isinstance(stage, StreamStage):
        return f"{stage.task_family} {stage.stream.model.name}"
    return f"{stage.task_family} {_family(stage)}"


def _family(stage: Stage) -> str:
    """Return the part of the stage's folder name before the fingerprint."""
    return stage.path().parent.name.rpartition("-")[0]


def _joined(reasons: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(reasons))
    return "; ".join(distinct[:MAX_NAMED]) + (
        f"; and {len(distinct) - MAX_NAMED} more" if len(distinct) > MAX_NAMED else ""
    )


def _shown(leaves: Mapping[str, Any], name: str) -> str:
    if name not in leaves:
        return ABSENT
    text = json.dumps(leaves[name], ensure_ascii=False)
    return str(DIGEST.sub(r"\1…", text))


def _reasons(stage: Stage, *, compared: bool) -> Iterator[str]:
    folder = stage.path().parent
    if folder.is_dir():
        yield from _rows_reasons(stage) if isinstance(stage, Extract) else _output_reasons(stage.path())
        return
    origin = json.loads(json.dumps(stage.origin()))
    nearest = _nearest(origin, folder.parent, _family(stage)) if compared else None
    yield from ["never computed"] if nearest is None else differences(nearest, origin)


def _nearest(origin: Mapping[str, Any], dataset: Path, family: str) -> dict[str, Any] | None:
    """Return the provenance with the most in common, of several the latest; None without one of the same kind."""
    ranked = []
    for stage_folder in stage_folders(dataset):
        output = stage_folder.output if stage_folder.name == family else None
        try:
            other = inspection.provenance(output) if output else {}
        except InputError:  # damaged: it tells nothing
            continue
        comparable = isinstance(other.get("upstream"), Mapping) and other["stage"] == origin["stage"]
        if comparable and _kind(other) == _kind(origin) and _share_upstream(other, origin):
            assert output
            ranked.append((len(_facts(other) & _facts(origin)), output.stat().st_mtime_ns, other))
    return max(ranked, key=lambda entry: entry[:2])[2] if ranked else None


def _facts(origin: Mapping[str, Any]) -> set[tuple[str, str]]:
    leaves = flat({part: origin[part] for part in ("components", "upstream")})
    return {(name, str(value)) for name, value in leaves.items()}


def _kind(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names of what is configured, and an experiment's title: another model is not a change of this one."""
    leaves = flat(origin["components"])
    return {place: value for place, value in leaves.items() if place.rpartition(".")[2] in ("name", "title")}


def _share_upstream(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two stages are computed from a stage of the same name, or neither from any."""
    first, second = ({name for name in each["upstream"] if not name.endswith(" videos")} for each in (one, other))
    return bool(first & second) or not first | second


def _output_reasons(path: Path) -> Iterator[str]:
    aside = sorted(path.parent.glob(f"{path.name}.damaged-*"))
    if aside:
        yield f"{path.name} was damaged and set aside as {aside[-1].name}"
    elif any(checkpoints(path)):
        yield "it was interrupted, and resumes from its checkpoint"
    else:
        yield f"{path.name} is missing"


def _rows_reasons(stage: Extract) -> Iterator[str]:
    shards = [shard for shard in stage.requires() if not shard.complete()]
    if not shards:
        yield "index.h5 is missing or links other shards"
    old: dict[str, str] = {}
    new: dict[str, str] = {}
    for shard in shards:
        number = shard.path().name.rpartition("-")[0]
        earlier = [path for path in shard.earlier() if path.name.startswith(number)]
        if earlier:
            found = inspection.contents([max(earlier, key=lambda path: path.stat().st_mtime_ns)])
            old |= {video: keys[0] for video, keys in found.keys.items()} | found.failed
            new |= {keys.id: keys.name for keys in shard.videos()}
        elif shard.earlier():
            yield "the videos are distributed over the shards anew"
        elif shard.journal.is_dir():
            yield "it was interrupted, and resumes from its journal"
        else:
            yield from _output_reasons(shard.path())
    yield from video_changes(old, new)


def _former(evaluation: Evaluate) -> dict[str, Any] | None:
    """Return the provenance of the experiment's nearest earlier report; None where it has none."""
    return _nearest(_recipe(evaluation), evaluation.folder().parent, "evaluate")


def _recipe(evaluation: Evaluate) -> dict[str, Any]:
    return {"stage": "Evaluate", "components": json.loads(evaluation.recipe.canonical()), "upstream": {}}


def _report_reasons(
    evaluation: Evaluate, former: Mapping[str, Any] | None, shortcoming: str, running: list[str]
) -> Iterator[str]:
    folder = evaluation.folder()
    if folder.is_dir() and not running:
        yield shortcoming
        return
    yield from differences(former, _recipe(evaluation)) if former else ()
    if running:
        yield f"upstream {', '.join(dict.fromkeys(running))} would run"
    elif not former:
        yield "never computed"
