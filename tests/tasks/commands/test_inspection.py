"""What inspect and failures tell of a store, and of places that are not there."""

import numpy as np

from pipeline.store import Store
from tests.support.small_experiment import BROKEN, Small


def test_inspect_tells_the_tree_its_sizes_and_where_it_comes_from(small: Small) -> None:
    store = Store(small.rows() / "index.h5")
    text = "\n".join(small.says("inspect", small.rows()))
    assert f"{len(store.ids())} ids, {len(store.ids())} rows" in text
    stored = sum(store.read(video).arrays["features"].nbytes for video in store.ids())
    assert f"features      float32  (16, 472)  {len(store.ids())} rows  {stored} bytes" in text
    assert "components.variant " in text
    assert "versions.numpy " in text
    assert "computed on cpu in " in text
    assert BROKEN in text
    whole = "\n".join(small.says("inspect"))
    for folder in small.store.glob("*/*-*"):
        assert folder.name in whole
    for kind, expected in {"drnn": "tensors: ", "scores": "2 videos × 2 classes", "evaluate": "report: "}.items():
        text = "\n".join(small.says("inspect", next(small.store.glob(f"*/{kind}-*"))))
        assert expected in text
        assert "components." in text


def test_inspect_tells_the_numbers_of_one_video(small: Small) -> None:
    features = Store(small.rows() / "index.h5").read("video02").arrays["features"]
    lines = small.says("inspect", small.rows(), "video02")
    (line,) = [line.split() for line in lines if line.strip().startswith("features")]
    assert line[1:4] == ["float32", "(16,", "472)"]
    exact = features.astype(np.float64)
    assert line[4:8] == [*(f"{value:.4g}" for value in (exact.min(), exact.mean(), exact.max())), "0"]
    assert any("source_digest" in line for line in lines)
    assert "nonsense" in "\n".join(small.says("inspect", small.rows(), BROKEN))
    assert "did you mean 'video02'?" in small.refused("inspect", small.rows(), "vidoe02")


def test_failures_are_listed_by_experiment_and_by_store(small: Small) -> None:
    for where in ([], [small.recipe], [small.rows()]):
        header, line = small.says("failures", *where)
        assert header.split() == ["video", "stage", "frames", "decoded", "reason"]
        assert line.split()[:3] == [BROKEN, small.rows().name, "0"]
        assert "nonsense" in line


def test_a_mistyped_place_is_answered_by_the_nearest(small: Small) -> None:
    folder = small.rows()
    assert f"did you mean {folder}?" in small.refused("inspect", folder.with_name("skeletn"))
    near = folder.with_name(folder.name[:-1])
    assert f"did you mean {folder}?" in small.refused("verify", near)
    assert "did you mean" in small.refused("export", folder.parent.name[:-1], small.folder / "out", "--npy")
    assert "no file of a store" in small.refused("inspect", small.root / "video02.txt")
    (small.store / "stick_figures-0123456789ab").mkdir()
    assert "no such experiment or store: stick-figure; did you mean stick-figures?" in small.refused(
        "failures", "stick-figure"
    )
