"""Damage to every kind of file in a store: the next run comes to the same figures, and says what it did."""

import random
import shutil
from pathlib import Path

import luigi
import pytest

from pipeline.scoring.scores import Scores
from pipeline.store import Store
from pipeline.store.journal import Journal
from tasks.commands.store_layout import KINDS
from tests.support.damage import DAMAGE
from tests.support.small_experiment import Small

pytestmark = pytest.mark.usefixtures("no_drawings")
RESULTS = ("reducer", "network", "scores", "figures", "report")
"""Kinds that are computed from others, upstream first."""
NOT_DAMAGED = ("lock", "comparison", "digests of weights", "note")
"""Kinds that hold nothing, that a run does not read, or that are not there after one."""


def found(small: Small) -> dict[str, bytes]:
    """The scores that the experiment's report is made from, by the folder's name."""
    paths = [stage.path() for stage in small.experiment().runs.stages() if stage.path().name == "scores.npz"]
    return {path.parent.name: Scores.load(path).values.tobytes() for path in paths}


def of_kind(store: Path, kind: str) -> list[Path]:
    return sorted(path for path in store.glob(KINDS[kind]) if path.is_symlink() or path.is_file())


def downstream(small: Small, kind: str) -> None:
    """Remove what is computed from files of a kind, so that the next run reads them."""
    own = of_kind(small.store, kind)
    later = RESULTS[RESULTS.index(kind) + 1 :] if kind in RESULTS else RESULTS
    if kind == "cache of keys":
        later = ("shard", *later)
    for path in dict.fromkeys(path for each in later for path in of_kind(small.store, each)):
        if path not in own and not path.name.startswith("000-"):
            path.unlink()


def wanted(small: Small, kind: str) -> list[luigi.Task]:
    """Ask for the report, which reads everything and is slow, or for scores where they read what is damaged."""
    experiment = small.experiment()
    return experiment.runs.all_scores() if kind in ("log of rows", "shard", "reducer", "network") else [experiment]


def unseal(small: Small) -> None:
    """Leave two shards as runs do that were killed before they sealed them: in two logs each."""
    stage = small.experiment().runs.predictions(0, 0)[0].features[0]
    for task in stage.requires()[:2]:
        store, videos = Store(task.path()), task.videos()
        for half in (videos[::2], videos[1::2]):
            journal = Journal(task.journal)
            for keys in half:
                if keys.id in store.failures():
                    journal.fail(keys, store.failures()[keys.id])
                else:
                    journal.write(keys, store.rows(keys.id))
        task.path().unlink()


def test_every_file_of_a_store_is_of_a_known_kind(small: Small) -> None:
    known = {path for kind in KINDS for path in of_kind(small.store, kind)}
    assert {path for path in small.store.rglob("*") if not path.is_dir()} == known


@pytest.mark.parametrize(
    "seeds",
    [
        range(1),
        pytest.param(range(20), marks=pytest.mark.slow),
        pytest.param(range(20, 200), marks=pytest.mark.torture),
    ],
    ids=lambda seeds: f"{len(seeds)} mutations",
)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NOT_DAMAGED])
def test_a_rerun_comes_to_the_same_and_says_what_it_did(
    kind: str, seeds: range, small: Small, said: list[str], tmp_path: Path
) -> None:
    if kind == "cache of keys":  # it is made where shards of another state are there
        small.write("video03", seed=99)
        small.run()
    clean = found(small)
    if kind == "log of rows":
        unseal(small)
    shutil.copytree(small.store, tmp_path / "clean", symlinks=True)
    for seed in seeds:
        name = list(DAMAGE)[seed % len(DAMAGE)]
        case = f"{kind}, {name}, seed {seed}"
        shutil.rmtree(small.store)
        shutil.copytree(tmp_path / "clean", small.store, symlinks=True)
        rng = random.Random(seed)
        files = of_kind(small.store, kind)
        file = rng.choice(files)
        before = file.read_bytes()
        alike = [path for path in small.store.rglob(f"*{file.suffix}") if path.is_file() and not path.samefile(file)]
        downstream(small, kind)
        DAMAGE[name](file, [path for path in alike if path.exists()], rng)
        said.clear()
        luigi.task_register.Register.clear_instance_cache()
        again = wanted(small, kind)
        ended = luigi.build(again, local_scheduler=True, workers=1, log_level="WARNING")
        told = "\n".join(said)
        assert "Traceback" not in told, f"{case}: {told}"
        if not ended:  # one sentence that names the file, which a user then moves away
            assert file.name in told, f"{case}: {told}"
            assert name in ("a folder", "unreadable", "a link"), f"{case}: {told}"
            shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()
            assert luigi.build(again, local_scheduler=True, workers=1, log_level="ERROR"), case
        assert found(small) == clean, case
        assert all(task.complete() for task in again), case
        if list(small.store.rglob("*.damaged-*")):
            assert "damaged" in told, f"{case}: {told}"
        elif file.is_file() and kind in RESULTS:
            assert file.read_bytes() == before or kind in ("figures", "report") or told, case
