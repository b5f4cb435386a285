"""Verify: it finds what is damaged, and the next run makes that again."""

import shutil

import pytest

from pipeline.store import Store
from tests.support.small_experiment import Small


@pytest.mark.parametrize("kind", ["skeleton-*/0*.h5", "drnn-*/network.safetensors", "scores-*/scores.npz"])
def test_verify_sets_damaged_files_aside_and_the_next_run_makes_them_again(small: Small, kind: str) -> None:
    count = len(small.says("why", small.recipe))
    assert small.says("verify")[-1].endswith(" files read, 0 damaged")
    path = next(small.store.glob(f"*/{kind}"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    answer = small("verify")
    assert answer.exit_code == 1
    damaged, summary = answer.stdout.splitlines()
    assert str(path) in damaged
    assert summary.endswith("1 damaged: the next run makes it again")
    assert not path.exists()
    small.experiment().output().remove()
    small.run()
    assert path.exists()
    assert len(small.says("why", small.recipe)) == count


@pytest.mark.parametrize("kind", ["drnn-*/network", "pca-*/reducer"])
def test_verify_finds_a_flipped_bit_of_what_was_trained(small: Small, kind: str) -> None:
    path = next(small.store.glob(f"*/{kind}.safetensors"))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert small("verify").exit_code == 1
    assert not path.exists()


def test_verify_finds_an_index_that_links_what_its_shard_does_not_hold(small: Small) -> None:
    index = (small.rows() / "index.h5").resolve()
    one, other, *_ = small.rows().glob("0*.h5")
    shutil.copy(other, one)
    answer = small("verify")
    assert answer.exit_code == 1
    assert f"{index} is damaged (it links " in answer.stdout
    assert not index.exists()


def test_verify_finds_an_altered_number(small: Small) -> None:
    path = next(small.rows().glob("0*.h5"))
    row = Store(path).read(Store(path).ids()[0]).arrays["features"].tobytes()
    path.write_bytes(path.read_bytes().replace(row[:64], bytes(64)))
    assert small("verify", path).exit_code == 1
