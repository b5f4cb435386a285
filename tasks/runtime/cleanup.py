"""Sweeps what killed runs leave: before the next run's work, and after it, what was still alive before."""

import luigi

from pipeline.errors import InputError
from pipeline.files.atomic import sweep
from tasks import settings
from tasks.base import Root, clear_checkpoints


@Root.event_handler(luigi.Event.START)
@Root.event_handler(luigi.Event.SUCCESS)
def _sweep(_: Root) -> None:
    try:
        store = settings.store()
    except InputError:  # the task meets it as well, and says so
        return
    sweep(store)
    for network in store.glob("*/*/network.safetensors"):
        clear_checkpoints(network)
    for journal in store.glob("*/*/journal-*"):
        if shards := sorted(journal.parent.glob(f"{journal.name.removeprefix('journal-')}-*.h5")):
            from pipeline.store.journal import Journal

            Journal(journal).discard_sealed(shards)
