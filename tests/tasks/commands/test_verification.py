"""Verify: it finds what is damaged, and the next run makes that again."""

import json
from functools import partial

import h5py
import pytest
from safetensors.numpy import load_file, save

from pipeline.files import tensors
from pipeline.scoring.scores import Scores
from pipeline.store import Store
from pipeline.store.inspection import provenance
from tests.support.small_experiment import Small
from tests.support.store_format import restate


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
    shard = next(small.rows().glob("0*.h5"))
    with h5py.File(shard, "r+") as file:
        del file["videos"][next(iter(file["videos"]))]
    restate(shard, b"kinescope-store/1")  # without a table, which would tell that the row is missing
    answer = small("verify")
    assert answer.exit_code == 1
    assert f"{index} is damaged (it links " in answer.stdout
    assert not index.exists()


def test_verify_says_how_many_files_of_before_state_no_place(small: Small) -> None:
    (shard, *_), (network, *_), (scores, *_) = (
        list(small.store.glob(f"*/{kind}")) for kind in ("skeleton-*/0*.h5", "drnn-*/network.*", "scores-*/scores.npz")
    )
    with h5py.File(shard, "r+") as file:
        file.attrs["provenance"] = placeless(file.attrs["provenance"])
    tensors.write(
        network, partial(save, load_file(network)), {"provenance": placeless(json.dumps(provenance(network)))}
    )
    Scores.load(scores).save(scores, json.loads(placeless(json.dumps(provenance(scores)))))
    before = small.says("verify")[-1]
    assert before.endswith(" files read, 0 damaged; 3 files of before without word of the place where they belong")
    damaged = small.rows() / "index.h5"
    damaged.write_bytes(b"")
    assert small("verify").stdout.endswith("it again; 3 files of before without word of the place where they belong\n")


def placeless(origin: str) -> str:
    """As an earlier kinescope stated it."""
    stated = json.loads(origin)
    return json.dumps({key: value for key, value in stated.items() if key not in ("file", "fold", "seed")})


def test_verify_finds_an_altered_number(small: Small) -> None:
    path = next(small.rows().glob("0*.h5"))
    row = Store(path).read(Store(path).ids()[0]).arrays["features"].tobytes()
    path.write_bytes(path.read_bytes().replace(row[:64], bytes(64)))
    assert small("verify", path).exit_code == 1
