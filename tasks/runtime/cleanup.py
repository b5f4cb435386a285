"""Sweeps what killed runs leave: before the next run's work, and after it, what was still alive before."""

import luigi

from pipeline.errors import InputError
from pipeline.files.atomic import sweep
from tasks import settings
from tasks.base import Root, checkpoints, clear_checkpoints
from tasks.commands.ownership import JOURNAL, is_of
from tasks.commands.store_layout import StageFolder, datasets, stage_folders


@Root.event_handler(luigi.Event.START)
@Root.event_handler(luigi.Event.SUCCESS)
def _sweep(_: Root) -> None:
    try:
        store = settings.store()
    except InputError:  # the task meets it as well, and says so
        return
    sweep(store)
    for dataset in datasets(store):
        for stage_folder in stage_folders(dataset):
            _clear(stage_folder)


def _clear(stage_folder: StageFolder) -> None:
    """Remove checkpoints and journals of what is sealed by now."""
    network = stage_folder.folder / "network.safetensors"
    if any(checkpoints(network)) and network.is_file() and is_of(stage_folder, network):
        clear_checkpoints(network)
    for journal in stage_folder.folder.glob("journal-*"):
        if not JOURNAL.fullmatch(journal.name) or journal.is_symlink():
            continue
        number = journal.name.removeprefix("journal-")
        if shards := [path for path in stage_folder.shards if path.name.startswith(f"{number}-")]:
            from pipeline.store.journal import Journal

            Journal(journal).discard_sealed(shards)
