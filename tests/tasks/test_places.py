"""A sealed file that lies in another's place is noticed by who reads it, and no figure is ever made from it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import luigi
import pytest
from luigi.configuration import get_config

import tasks
from pipeline.errors import DamagedStore
from pipeline.files import tensors
from pipeline.pca.project import load_reducer
from pipeline.scoring.scores import Scores
from pipeline.store import Store, inspection
from pipeline.store.hdf5_rows import write_string
from pipeline.store.seal import shards_by_key
from pipeline.store.sealed import load_table
from pipeline.training.weights_file import load_curves, load_state
from tasks.commands.verification import sealed, verify
from tests.support.recipes import write_skeleton

RECIPE = """
title = "places"
seeds = [0, 1]
[dataset]
name = "folder"
root = "{root}"
manifest = "manifest.csv"
protocol = "stratified"
trials = 2
[[streams]]
label = "recurrent"
extractor = {{ name = "skeleton", variant = "472" }}
model = {{ name = "drnn", state = 4, fit = {{ epochs = 2, batch = 4 }} }}
[[streams]]
label = "reduced"
extractor = {{ name = "skeleton", variant = "472", normalise = false }}
reducer = {{ dims = 3 }}
model = {{ name = "lstm", hidden = 4, fit = {{ epochs = 1, batch = 4 }} }}
[fusion]
rule = "sum"
"""


class Places:
    """A finished experiment of two folds and two seeds, some of whose files come to lie in another's place."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "files"

    def fill(self) -> "Places":
        lines = ["path,label"]
        for number in range(12):
            write_skeleton(self.root / f"video{number:02d}.txt", number)
            lines.append(f"video{number:02d}.txt,{'ab'[number % 2]}")
        (self.root / "manifest.csv").write_text("\n".join(lines) + "\n")
        return self

    def experiment(self) -> tasks.Evaluate:
        recipe = self.folder / "places.toml"
        recipe.write_text(RECIPE.format(root=self.root))
        luigi.task_register.Register.clear_instance_cache()
        return tasks.Evaluate(experiment=str(recipe))

    def run(self) -> list[bytes]:
        """Run everything but the report, and return every prediction."""
        assert luigi.build([self.experiment().index], local_scheduler=True, workers=1, log_level="ERROR")
        results = self.experiment().runs.all_results()
        assert luigi.build(results, local_scheduler=True, workers=1, log_level="ERROR")
        return [Scores.load(stage.path()).values.tobytes() for stage in results]

    def remove(self, *kinds: str) -> None:
        """Remove what is made from the files, so that a run reads them."""
        for kind in kinds:
            for folder in (self.folder / "store").glob(f"*/{kind}-*"):
                shutil.rmtree(folder)

    def stages(self, fold: int, seed: int, stream: int) -> list[Path]:
        """Shards, index, reducer if there is one, network, scores and fused scores."""
        runs = self.experiment().runs
        predict = runs.predictions(fold, seed)[stream]
        (features,), (train,), (fuse,) = predict.features, predict.training(), runs.results(fold, seed)
        shards = [shard.path() for shard in features.requires()]
        fitted = [stage.path() for stage in predict.reduction()]
        return [*shards, features.path(), *fitted, train.path(), predict.path(), fuse.path()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[bytes]]]:
    folder = tmp_path_factory.mktemp("places")
    (folder / "now").mkdir()
    for key, value in {"store": folder / "now" / "store", "shard_size": 3, "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))
    predictions = Places(folder / "now").fill().run()
    (folder / "now").rename(folder / "kept")
    yield folder, predictions
    get_config().remove_section("kinescope")


@pytest.fixture
def places(made: tuple[Path, list[bytes]]) -> Iterator[Places]:
    """The finished experiment as it was, at its own place."""
    folder, _ = made
    shutil.copytree(folder / "kept", folder / "now", symlinks=True)
    yield Places(folder / "now")
    shutil.rmtree(folder / "now")


def swap(one: Path, other: Path) -> list[Path]:
    assert one != other
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    return [one, other]


def shards(places: Places, stream: int) -> list[Path]:
    return places.stages(0, 0, stream)[:4]


def networks_of_two_seeds(places: Places) -> list[Path]:
    return swap(places.stages(0, 0, 0)[-3], places.stages(0, 1, 0)[-3])


def reducers_of_two_folds(places: Places) -> list[Path]:
    return swap(places.stages(0, 0, 1)[-4], places.stages(1, 0, 1)[-4])


def scores_of_two_folds(places: Places) -> list[Path]:
    return swap(places.stages(0, 0, 0)[-2], places.stages(1, 0, 0)[-2])


def fused_scores_of_two_seeds(places: Places) -> list[Path]:
    return swap(places.stages(0, 0, 0)[-1], places.stages(0, 1, 0)[-1])


def every_shard_of_a_stage(places: Places) -> list[Path]:
    """By another stage's, under the names that they had."""
    theirs, ours = shards(places, 1), shards(places, 0)
    for shard, other in zip(ours, theirs, strict=True):
        shutil.copy(other, shard)
    return ours


def two_shards_within_a_stage(places: Places) -> list[Path]:
    return swap(*shards(places, 0)[:2])


def two_indices(places: Places) -> list[Path]:
    return swap(places.stages(0, 0, 0)[4], places.stages(0, 0, 1)[4])


def a_link_out_of_the_store(places: Places) -> list[Path]:
    """In an index, to a file that a careless reader would rename."""
    index = places.stages(0, 0, 0)[4]
    place, target = f"videos/{Store(index).ids()[0]}/variant-0", "../../../files/manifest.csv"
    table = load_table(index)
    table.links[place] = target
    with h5py.File(index, "r+") as file:
        del file[place], file["table"]
        file[place] = h5py.ExternalLink(target, place)
        write_string(file.id, "table", table.text())
    return [index]


def ids(path: Path) -> list[str]:
    return Store(path).ids()


Stray = Callable[[Places], list[Path]]
READERS: dict[Stray, list[Callable[[Path], object]]] = {
    networks_of_two_seeds: [load_state, load_curves],
    reducers_of_two_folds: [load_reducer],
    scores_of_two_folds: [Scores.load],
    fused_scores_of_two_seeds: [Scores.load],
    every_shard_of_a_stage: [ids],
    two_shards_within_a_stage: [ids],
    two_indices: [ids],
}
MADE_FROM: dict[Stray, list[str]] = {
    networks_of_two_seeds: ["scores", "fused"],
    reducers_of_two_folds: ["lstm", "scores", "fused"],
    scores_of_two_folds: ["fused"],
    every_shard_of_a_stage: ["drnn", "scores", "fused"],
    two_shards_within_a_stage: ["drnn", "scores", "fused"],
    two_indices: ["drnn", "scores", "fused"],
    a_link_out_of_the_store: ["drnn", "scores", "fused"],
}


@pytest.mark.parametrize("stray", READERS)
def test_what_lies_in_anothers_place_is_set_aside_by_its_reader(places: Places, stray: Stray) -> None:
    for path in stray(places):
        for number, read in enumerate(READERS[stray], 1):
            content = path.read_bytes()
            with pytest.raises(DamagedStore, match=r"it belongs to …-[0-9a-f]{12}/.+, but lies here"):
                read(path)
            aside = path.with_name(f"{path.name}.damaged-{number}")
            assert aside.read_bytes() == content
            assert not path.exists()
            path.write_bytes(content)


@pytest.mark.parametrize("stray", MADE_FROM)
def test_a_run_makes_what_lies_in_anothers_place_again_and_comes_to_the_same(
    places: Places, made: tuple[Path, list[bytes]], stray: Stray
) -> None:
    strayed = stray(places)
    places.remove(*MADE_FROM[stray])
    assert places.run() == made[1]
    assert all(path.exists() for path in strayed)
    assert not list(places.root.glob("*.damaged-*"))
    assert list(verify(sealed(places.folder / "store"))) == []


@pytest.mark.parametrize("stray", READERS)
def test_verify_finds_what_lies_in_anothers_place(places: Places, stray: Stray) -> None:
    strayed = stray(places)
    said = "\n".join(verify(sealed(places.folder / "store")))
    for path in strayed:
        assert f"{path} is damaged (it belongs to " in said
        assert not path.exists()


def test_inspection_refuses_what_lies_in_anothers_place_and_leaves_it(places: Places) -> None:
    for stray in (networks_of_two_seeds, scores_of_two_folds, two_shards_within_a_stage):
        for path in stray(places):
            with pytest.raises(ValueError, match=r"but lies here\): kinescope verify sets it aside"):
                inspection.provenance(path)
            assert path.exists()


def test_a_strayed_shard_gives_no_row_to_another(places: Places) -> None:
    ours = every_shard_of_a_stage(places)
    with pytest.warns(RuntimeWarning, match="but lies here"):
        assert shards_by_key(ours[:1]) == {}


def test_a_copy_under_a_users_own_names_is_read(places: Places, tmp_path: Path) -> None:
    index = places.stages(0, 0, 0)[4]
    shutil.copytree(index.parent, tmp_path / "features")
    Store(tmp_path / "features" / "index.h5").ids()
    for path in (places.stages(0, 0, 0)[-2], places.stages(0, 0, 0)[-3], index):
        shutil.copy(path, tmp_path / f"mine{path.suffix}")
    Scores.load(tmp_path / "mine.npz")
    tensors.read(tmp_path / "mine.safetensors")
    assert Store(tmp_path / "mine.h5").ids()


def test_every_file_states_its_place_and_those_with_seeds_and_folds_state_these(places: Places) -> None:
    for path in places.stages(1, 1, 1):
        origin = inspection.provenance(path)
        assert origin["file"] == path.name
        assert path.parent.name.endswith(f"-{origin['fingerprint']}")
    *_, reducer, network, scores, fused = (inspection.provenance(path) for path in places.stages(1, 1, 1))
    assert [origin["fold"] for origin in (reducer, network, scores, fused)] == [1] * 4
    assert [origin["seed"] for origin in (network, scores, fused)] == [1] * 3
