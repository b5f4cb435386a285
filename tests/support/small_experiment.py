"""A small experiment that is run for its store, and the console script's commands on it."""

import os
import time
from pathlib import Path

import luigi
import numpy as np
from typer.testing import CliRunner, Result

import tasks
from tasks.commands.app import app

RECIPE = """
title = "small"
[dataset]
name = "folder"
root = "{root}"
protocol = "split_column"
[[streams]]
label = "recurrent"
extractor = {{ name = "skeleton", variant = "{variant}" }}
model = {{ name = "drnn", order = {order}, state = 4, fit = {{ epochs = {epochs}, batch = 4 }} }}
[[streams]]
label = "reduced"
extractor = {{ name = "skeleton", variant = "{variant}" }}
reducer = {{ dims = {dims} }}
model = {{ name = "lstm", hidden = 4, fit = {{ epochs = 1, batch = 4 }} }}
[fusion]
rule = "{rule}"
"""


BROKEN = "video05"


class Small:
    """An experiment on eight skeleton files, one of them broken, and the console script on its store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.store = folder, folder / "files", folder / "store"
        self.fields: dict[str, object] = {"variant": "472", "order": 1, "epochs": 1, "dims": 3, "rule": "sum"}

    def fill(self) -> "Small":
        """Make the files."""
        self.root.mkdir()
        (self.root / "manifest.csv").write_text("path,label,split\n")
        for number in range(8):
            self.add(f"video{number:02d}", "ab"[number % 2], "train" if number < 6 else "test", seed=number)
        (self.root / f"{BROKEN}.txt").write_text("1 2 3 nonsense\n")
        return self

    def add(self, name: str, label: str, half: str, seed: int) -> None:
        """A skeleton file, 20 joints drifting at random, and its line in the manifest."""
        self.write(name, seed)
        with (self.root / "manifest.csv").open("a") as file:
            file.write(f"{name}.txt,{label},{half}\n")

    def write(self, name: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        joints = rng.normal(size=(1, 20, 3)) + rng.normal(scale=0.05, size=(16, 20, 3)).cumsum(0)
        rows = np.concatenate([joints, np.ones((16, 20, 1))], axis=2).reshape(-1, 4)
        np.savetxt(self.root / f"{name}.txt", rows, fmt="%.6f")

    @property
    def recipe(self) -> str:
        path = self.folder / "small.toml"
        path.write_text(RECIPE.format(root=self.root, **self.fields))
        luigi.task_register.Register.clear_instance_cache()
        return str(path)

    def experiment(self) -> tasks.Evaluate:
        return tasks.Evaluate(experiment=self.recipe)

    def run(self) -> None:
        assert luigi.build([self.experiment()], local_scheduler=True, workers=1, log_level="ERROR")
        assert self.experiment().complete()

    def rows(self) -> Path:
        """The folder of the features."""
        return self.experiment().runs.predictions(0, 0)[0].features[0].folder

    def rest(self) -> None:
        """As if nothing had been written for two hours."""
        for path in self.store.rglob("*"):
            os.utime(path, (time.time() - 7200,) * 2, follow_symlinks=False)

    def __call__(self, *arguments: str | Path) -> Result:
        luigi.task_register.Register.clear_instance_cache()
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    def says(self, *arguments: str | Path) -> list[str]:
        """The lines of a command that ends well."""
        answer = self(*arguments)
        assert answer.exit_code == 0, answer.output
        return list(answer.stdout.splitlines())

    def refused(self, *arguments: str | Path) -> str:
        """The one sentence of a command that meets a mistake."""
        answer = self(*arguments)
        assert answer.exit_code == 2, answer.output
        (sentence,) = answer.stderr.splitlines()
        return str(sentence)

    def files(self) -> set[Path]:
        return {path.relative_to(self.store) for path in self.store.rglob("*") if not path.is_dir()}
