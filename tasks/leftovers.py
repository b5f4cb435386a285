"""What killed runs leave is swept by the next: before its work, and after it what was not dead yet."""

import luigi

from pipeline.atomic import sweep
from tasks import settings
from tasks.base import Root


@Root.event_handler(luigi.Event.START)
@Root.event_handler(luigi.Event.SUCCESS)
def _sweep(_: Root) -> None:
    sweep(settings.store())
    for checkpoint in settings.store().glob("*/*/checkpoint.pt"):
        if checkpoint.with_name("network.safetensors").exists():
            checkpoint.unlink(missing_ok=True)
    for journal in settings.store().glob("*/*/journal-*"):
        if shards := sorted(journal.parent.glob(f"{journal.name.removeprefix('journal-')}-*.h5")):
            from pipeline.store import Journal

            Journal(journal).discard_sealed(shards)
