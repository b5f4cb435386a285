import pytest

from extractors.base import Clip
from tests.support.skeletons import text


@pytest.fixture
def clip(tmp_path):
    """Writes joints, text or bytes, and returns the clip."""

    def write(content, frames=None):
        path = tmp_path / "a01_s01_e01_skeleton3D.txt"
        content = content if isinstance(content, str | bytes) else text(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return Clip(path, frames)

    return write
