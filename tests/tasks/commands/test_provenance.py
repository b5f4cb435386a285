"""What every file of a store says of the versions and threads by which it was made."""

import platform
from importlib import metadata

import pytest
from luigi.configuration import get_config

from pipeline.store import inspection
from tasks import base
from tests.support.small_experiment import Small


def test_every_file_says_by_which_versions_and_how_many_threads_it_was_made(small: Small) -> None:
    names = ("skeleton-*/index.h5", "drnn-*/network.safetensors", "pca-*/reducer.safetensors", "fused-*/scores.npz")
    made = [next(small.store.glob(f"*/{name}")) for name in names]
    for path in [*made, next(small.rows().glob("0*.h5"))]:
        origin = inspection.provenance(path)
        for name in ("kinescope", "numba", "scipy", "pydantic", "torch", "numpy"):
            assert origin["versions"][name] == metadata.version(name)
        assert any(name.startswith("opencv-") for name in origin["versions"])
        assert origin["threads"] == 1


def test_threads_and_versions_enter_no_fingerprint(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does the name under which OpenCV is installed, or that a distribution is not."""
    (before,) = small.experiment().runs.predictions(0, 0)[0].features
    installed = {"opencv-python-headless": "4.12.0.88", "kinescope": "9.9"}

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "version", version)
    base.versions.cache_clear()
    get_config().set("kinescope", "workers", "3")
    try:
        (after,) = small.experiment().runs.predictions(0, 0)[0].features
        assert after.fingerprint == before.fingerprint
        assert after.complete()
        assert after.origin()["threads"] == 3
        assert after.origin()["versions"] == {"python": platform.python_version(), **installed}
    finally:
        get_config().remove_option("kinescope", "workers")
        base.versions.cache_clear()
