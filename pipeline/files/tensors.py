"""Files of tensors that notice damage: safetensors, which has no checksum, with a digest in its metadata."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pipeline.files.atomic import atomic_path, quarantine

DIGEST = "blake2b"
"""The metadata's entry: of the header, this entry left out, and of the tensors' bytes."""


def write(path: Path, serialise: Callable[[dict[str, str]], bytes], metadata: Mapping[str, str]) -> None:
    """Write atomically what ``serialise`` makes of tensors and some metadata, with the digest added to these."""
    content = serialise({**metadata, DIGEST: _digest(serialise({**metadata}))})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)  # safetensors' own writing hides a full disk's errno


def read(path: Path) -> tuple[bytes, dict[str, str]]:
    """The whole file, and its metadata; a file without a digest, as older ones are, is checked for its form alone.

    Raises DamagedStore, having set the file aside, where it is not as it was written.
    """
    try:
        with safe_open(path, "numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
        content = path.read_bytes()
        if metadata.get(DIGEST, digest := _digest(content)) != digest:
            raise ValueError("its bytes are not those that were written")
    except (SafetensorError, ValueError) as error:
        quarantine(path, error)
    return content, metadata


def _digest(content: bytes) -> str:
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.get("__metadata__", {}).pop(DIGEST, None)
    digest = hashlib.blake2b(json.dumps(header, sort_keys=True).encode())
    digest.update(memoryview(content)[start:])
    return digest.hexdigest()
