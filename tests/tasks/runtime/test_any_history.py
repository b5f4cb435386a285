"""A store after any history of runs, edits, kills and damage gives the figures of one that is made from nothing."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import luigi
import pytest
from hypothesis import HealthCheck, Phase, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from luigi.configuration import get_config

from pipeline.scoring.scores import Scores
from tasks.commands.store_layout import KINDS
from tests.support.mutations import flipped, truncated
from tests.support.paths import ROOT
from tests.support.runs import SETTINGS
from tests.support.small_experiment import BROKEN, Small

RULES: Counter[str] = Counter()
"""How often each rule was run."""
KNOWN: dict[object, dict[str, bytes]] = {}
"""Scores of each state of the data and the recipe, of a store that was made from nothing."""
VIDEOS = [f"video{number:02d}" for number in range(8)]
WHOLE = [video for video in VIDEOS if video != BROKEN]
FIELDS = [("order", 0), ("order", 1), ("dims", 2), ("dims", 3), ("rule", "product"), ("variant", "583")]


class Histories(RuleBasedStateMachine):
    """A small experiment whose store goes through a history."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="history-"))
        self.small = Small(self.folder)
        self.labels = {video: "ab"[number % 2] for number, video in enumerate(VIDEOS)}
        self.seeds = {video: number for number, video in enumerate(VIDEOS)}
        self.moved = 0

    @initialize()
    def begin(self) -> None:
        self._use(self.small.store)
        self.small.fill()
        self.small.fields["epochs"] = 3

    def teardown(self) -> None:
        self.run()
        get_config().remove_section("kinescope")
        shutil.rmtree(self.folder)

    @rule()
    def run(self) -> None:
        RULES["run"] += 1
        assert self._scores(self.small) == self._from_nothing()

    @rule(change=strategies.sampled_from(FIELDS))
    def edit_a_field(self, change: tuple[str, object]) -> None:
        RULES["edit a field"] += 1
        self.small.fields[change[0]] = change[1]

    @rule(videos=strategies.lists(strategies.sampled_from(VIDEOS[:6]), min_size=2, max_size=2, unique=True))
    def relabel(self, videos: list[str]) -> None:
        RULES["relabel"] += 1
        one, other = videos
        self.labels[one], self.labels[other] = self.labels[other], self.labels[one]
        self._write_manifest()

    @rule(videos=strategies.lists(strategies.sampled_from(WHOLE), min_size=2, max_size=2, unique=True))
    def swap_videos(self, videos: list[str]) -> None:
        RULES["swap videos"] += 1
        one, other = videos
        self.seeds[one], self.seeds[other] = self.seeds[other], self.seeds[one]
        for video in videos:
            self.small.write(video, self.seeds[video])

    @rule(tenths=strategies.integers(1, 30))
    def kill(self, tenths: int) -> None:
        RULES["kill"] += 1
        run = self._start()
        time.sleep(tenths / 5)
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()

    @precondition(lambda self: self.small.store.exists())
    @rule(
        kind=strategies.sampled_from(
            ["manifest", "log of rows", "shard", "index", "reducer", "network", "scores", "figures"]
        ),
        seed=strategies.integers(0, 1000),
    )
    def damage(self, kind: str, seed: int) -> None:
        RULES["damage"] += 1
        rng = random.Random(seed)
        if files := sorted(path for path in self.small.store.glob(KINDS[kind]) if path.is_file()):
            file = rng.choice(files)
            content = file.read_bytes()
            file.write_bytes((flipped if seed % 2 else truncated)(content, rng))

    @precondition(lambda self: self.small.store.exists())
    @rule()
    def collect_garbage(self) -> None:
        RULES["gc"] += 1
        self.small.rest()
        self.small("gc", self.small.recipe, "--delete")

    @rule()
    def move(self) -> None:
        RULES["move"] += 1
        self.moved += 1
        self.small.root = self.small.root.rename(self.folder / f"moved{self.moved}")

    @rule()
    def two_runs_at_once(self) -> None:
        RULES["two runs at once"] += 1
        runs = [self._start(), self._start()]
        for process in runs:
            said, _ = process.communicate(timeout=300)
            assert process.returncode == 0, said
            assert "Traceback" not in said

    def _write_manifest(self) -> None:
        halves = {video: "train" if number < 6 else "test" for number, video in enumerate(VIDEOS)}
        lines = [f"{video}.txt,{self.labels[video]},{halves[video]}\n" for video in VIDEOS]
        (self.small.root / "manifest.csv").write_text("path,label,split\n" + "".join(lines))

    def _use(self, store: Path) -> None:
        told = {"store": store, "shard_size": 3, "device": "cpu", "max_failed_videos": 1}
        for key, value in told.items():
            get_config().set("kinescope", key, str(value))

    def _start(self) -> subprocess.Popen[str]:
        """A run in processes of its own."""
        text = SETTINGS.format(store=self.small.store, shard_size=3) + "max_failed_videos = 1\n"
        (self.folder / "luigi.cfg").write_text(text)
        return subprocess.Popen(
            [sys.executable, "-m", "luigi", "--module", "tasks", "Evaluate", "--experiment", self.small.recipe],
            cwd=self.folder,
            env={**os.environ, "LUIGI_CONFIG_PATH": str(self.folder / "luigi.cfg"), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _scores(self, small: Small) -> dict[str, bytes]:
        luigi.task_register.Register.clear_instance_cache()
        small.run()
        stages = [stage for stage in small.experiment().runs.stages() if stage.path().name == "scores.npz"]
        return {stage.path().parent.name: Scores.load(stage.path()).values.tobytes() for stage in stages}

    def _from_nothing(self) -> dict[str, bytes]:
        state = (tuple(self.labels.items()), tuple(self.seeds.items()), tuple(self.small.fields.items()))
        if state not in KNOWN:
            fresh = Small(self.folder / "fresh")
            fresh.folder.mkdir()
            fresh.root, fresh.fields = self.small.root, self.small.fields
            self._use(fresh.store)
            KNOWN[state] = self._scores(fresh)
            shutil.rmtree(fresh.folder)
            self._use(self.small.store)
        return KNOWN[state]


@pytest.mark.usefixtures("no_drawings")
@pytest.mark.parametrize(
    ("examples", "steps"),
    [pytest.param(6, 12, marks=pytest.mark.slow), pytest.param(30, 20, marks=pytest.mark.torture)],
)
def test_any_history_leads_to_the_figures_of_a_store_from_nothing(
    examples: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    RULES.clear()
    KNOWN.clear()
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"rules run: {dict(RULES)}; states visited: {len(KNOWN)}")
    assert RULES["run"]
