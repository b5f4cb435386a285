"""HOG3D as an extractor: what is sampled, fitted and projected."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.decomposition import PCA as ExactPCA

from extractors.base import Clip, Labelled, Row
from extractors.fitted_pca import FittedProjection, sample
from extractors.hog3d.config import HOG3D, HOG3DRows
from extractors.hog3d.grid import Grid
from pipeline.errors import InputError, UnusableVideo
from pipeline.pca.config import PCA
from pipeline.training.curves import Curves
from tests.support.contracts import COARSE, VIDEO

CLIPS = [Clip(VIDEO, (start, start + 30)) for start in range(0, 60, 6)]
FOLDS = {"a": CLIPS[:6], "b": CLIPS[4:]}


def raw(clip: Clip, **fields: Any) -> Row:
    (row,) = HOG3DRows(**COARSE, **fields).build("cpu")(clip)
    return row


def fitted(config: HOG3D, clips: list[Clip], path: Path) -> Path:
    """The file of what is fitted to the rows that the configuration asks for."""
    rows = [row for clip in clips for row in config.fitted_on.build("cpu")(clip)]
    material = Labelled(rows, [0] * len(rows), 1, list(map(str, range(len(rows)))))
    state, curves = config.fitted.train(material, device="cpu", checkpoint=path.with_suffix(".pt"))
    assert curves == Curves()
    save_file(state, path)
    return path


def test_raw_rows() -> None:
    row = raw(CLIPS[1])
    assert row.arrays["features"].shape == (14, 480)
    assert row.arrays["features"].dtype == np.float16
    assert row.arrays["start_frames"].tolist() == list(range(14))
    assert row.attributes["frames"] == 30
    later = raw(Clip(VIDEO, (9, 36)))
    np.testing.assert_allclose(later.arrays["features"], row.arrays["features"][3:], rtol=0, atol=1e-3)
    with pytest.raises(TypeError, match="hog3d_raw reads a video file, not rows"):
        next(HOG3DRows().build("cpu")([row]))
    with pytest.raises(UnusableVideo, match="16 frames; HOG3D needs 17"):
        raw(Clip(VIDEO, (3, 19)))
    with pytest.raises(UnusableVideo, match="10 frames"):
        raw(Clip(VIDEO, (3, 13)), sampled_frames=3)


def test_a_sample_is_some_of_the_rows_and_depends_on_the_seed_and_their_number_alone() -> None:
    full, some = raw(CLIPS[0]), raw(CLIPS[0], sampled_frames=5)
    chosen = sample(14, 5, seed=0)
    assert len(set(chosen.tolist())) == 5
    assert (np.diff(chosen) > 0).all()
    assert some.arrays["start_frames"].tolist() == full.arrays["start_frames"][chosen].tolist()
    np.testing.assert_allclose(some.arrays["features"], full.arrays["features"][chosen], rtol=0, atol=1e-3)
    assert some.attributes == full.attributes
    assert np.array_equal(raw(CLIPS[7], sampled_frames=5).arrays["start_frames"], chosen)
    others = [tuple(raw(CLIPS[0], sampled_frames=5, seed=seed).arrays["start_frames"]) for seed in range(4)]
    assert len(set(others)) == 4
    assert sample(5, 5, seed=3).tolist() == sample(5, 9, seed=0).tolist() == [0, 1, 2, 3, 4]
    drawn = np.concatenate([sample(50, 5, seed) for seed in range(400)])
    assert np.bincount(drawn, minlength=50).min() > 15  # 40 are expected of each


def test_positions_are_sampled_among_those_of_the_stride() -> None:
    fields = {**COARSE, "grid": Grid(stride_px=50, scales=1, stride_frames=3), "sampled_frames": 3}
    (row,) = HOG3DRows(**fields).build("cpu")(CLIPS[0])
    assert row.arrays["start_frames"].tolist() == (3 * sample(5, 3, seed=0)).tolist()


def test_one_pass_projects_for_all_folds_as_exact_pca_does(tmp_path: Path) -> None:
    config = HOG3D(**COARSE, dims=6, sampled_frames=8)
    assert config.serves_all_folds
    assert config.upstream is None
    assert config.fitted_on == HOG3DRows(**COARSE, sampled_frames=8)
    states = {fold: fitted(config, clips, tmp_path / fold) for fold, clips in FOLDS.items()}
    clip = Clip(VIDEO, (20, 70))
    (row,) = config.build("cpu", states)(clip)
    assert row.arrays.keys() == {"features-a", "features-b", "start_frames", "times", "ends"}
    assert row.arrays["start_frames"].tolist() == list(range(34))
    described = raw(clip).arrays["features"].astype(np.float64)
    for fold, clips in FOLDS.items():
        samples = np.concatenate([raw(one, sampled_frames=8).arrays["features"] for one in clips])
        exact = ExactPCA(6, svd_solver="full").fit(samples.astype(np.float64))
        found, expected = row.arrays[f"features-{fold}"], exact.transform(described)
        assert found.dtype == np.float32
        signs = np.sign((found * expected).sum(axis=0))
        np.testing.assert_allclose(found, expected * signs, rtol=0, atol=5e-3)
        (alone,) = config.build("cpu", {fold: states[fold]})(clip)
        assert np.array_equal(alone.arrays[f"features-{fold}"], found)


def test_kept_raw_rows_lead_to_the_same_features_fold_by_fold(tmp_path: Path) -> None:
    fields: dict[str, Any] = {**COARSE, "dims": 6, "sampled_frames": 8, "seed": 2}
    config, once = HOG3D(**fields, keep_raw=True), HOG3D(**fields)
    assert not config.serves_all_folds
    assert config.upstream == config.fitted_on == HOG3DRows(**COARSE)
    one, other = (fitted(each, FOLDS["a"], tmp_path / str(each.serves_all_folds)) for each in (config, once))
    clip = Clip(VIDEO, (20, 70))
    (row,) = config.build("cpu", {"a": one})([raw(clip)])
    (expected,) = once.build("cpu", {"a": other})(clip)
    assert row.attributes == expected.attributes
    assert np.array_equal(row.arrays["start_frames"], expected.arrays["start_frames"])
    assert row.arrays["features"].dtype == np.float32
    np.testing.assert_allclose(row.arrays["features"], expected.arrays["features-a"], rtol=0, atol=5e-3)
    with pytest.raises(TypeError, match="hog3d reads rows of hog3d_raw, not a file"):
        next(config.build("cpu", {"a": one})(clip))


def test_the_share_of_energy_is_kept_with_the_components(tmp_path: Path) -> None:
    material = Labelled([raw(clip) for clip in CLIPS], [0] * len(CLIPS), 1, list(map(str, CLIPS)))
    state, _ = FittedProjection(pca=PCA(dims=6), sampled_frames=8).train(
        material, device="cpu", checkpoint=tmp_path / "c"
    )
    samples = np.concatenate([raw(clip, sampled_frames=8).arrays["features"] for clip in CLIPS]).astype(np.float64)
    assert float(state["energy"]) == pytest.approx(
        ExactPCA(6, svd_solver="full").fit(samples).explained_variance_ratio_.sum()
    )
    assert state["components"].shape == (6, 480)
    assert state["components"].dtype == torch.float32


def test_what_is_fitted_is_another_when_pca_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = HOG3D().fitted.significant(str)
    monkeypatch.setattr(PCA, "version", PCA.version + 1)
    assert HOG3D().fitted.significant(str) != before


def test_what_does_not_fit_together_is_said(tmp_path: Path) -> None:
    rows = [Row({"features": np.zeros((4, width), np.float16)}) for width in (480, 320)]
    with pytest.raises(InputError, match="small has 320 features a frame, but usual has 480: all videos must"):
        FittedProjection(pca=PCA(dims=2), sampled_frames=4).train(
            Labelled(rows, [0, 0], 1, ["usual", "small"]), device="cpu", checkpoint=tmp_path
        )
    config = HOG3D(**COARSE, dims=2)
    states = {"a": fitted(config, CLIPS[:2], tmp_path / "a")}
    wider = config.model_copy(update={"grid": Grid(stride_px=50, scales=2)})
    with pytest.raises(
        UnusableVideo, match="features, but PCA was fitted to 480: all videos must have the same frame size"
    ):
        next(wider.build("cpu", states)(CLIPS[0]))
    with pytest.raises(ValueError, match="needs the files of what was fitted in all folds"):
        config.build("cpu")
    with pytest.raises(ValueError, match="needs the file of what was fitted in one fold, not in 2"):
        HOG3D(**COARSE, keep_raw=True).build("cpu", states | {"b": states["a"]})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_extracts_the_cpus_features(tmp_path: Path) -> None:
    config = HOG3D(**COARSE, dims=6, sampled_frames=8)
    states = {fold: fitted(config, clips, tmp_path / fold) for fold, clips in FOLDS.items()}
    (cpu,), (cuda,), (again,) = (config.build(device, states)(CLIPS[8]) for device in ("cpu", "cuda", "cuda"))
    for name, array in cpu.arrays.items():
        np.testing.assert_allclose(cuda.arrays[name], array, rtol=0, atol=1e-4)
        assert np.array_equal(cuda.arrays[name], again.arrays[name])
