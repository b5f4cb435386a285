"""Several experiments side by side, where one of them has more failures than are allowed."""

import luigi
import pytest
from luigi.configuration import get_config

import tasks
from tests.support.small_experiment import BROKEN, Small


def test_the_page_is_written_and_the_run_fails_where_a_video_could_not_be_used(
    small: Small, caplog: pytest.LogCaptureFixture
) -> None:
    get_config().set("kinescope", "max_failed_videos", "0")
    everything = tasks.EvaluateAll(experiments=[small.recipe])
    assert not luigi.build([everything], local_scheduler=True, workers=1, log_level="ERROR")
    page = small.store / everything.output().path
    assert f"{small.recipe}: {BROKEN}: " in caplog.text
    assert f"they count as wrong in {page}" in caplog.text
    assert '">1 video</a> could not be used' in page.read_text()
    assert page.with_suffix(".md").is_file()
    get_config().set("kinescope", "max_failed_videos", "1")
    assert tasks.EvaluateAll(experiments=[small.recipe]).complete()
