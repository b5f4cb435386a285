"""Write and read files of tensors whose damage is noticed.

They are safetensors files, which have no checksum of their own, with a digest in the metadata.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pipeline.files.atomic import atomic_path, quarantine
from pipeline.files.place import check_place, refuse_folder

DIGEST = "blake2b"
"""Key of the digest in the metadata: of the header without this entry, and of the tensors' bytes."""


def write(path: Path, serialise: Callable[[dict[str, str]], bytes], metadata: Mapping[str, str]) -> None:
    """Write tensors and their metadata atomically, with a digest of both.

    Parameters
    ----------
    path
        The file to write.
    serialise
        Given metadata, returns the content of a safetensors file that holds the tensors and this metadata.
    metadata
        What the file says of itself, without the digest.
    """
    content = serialise({**metadata, DIGEST: _digest(serialise({**metadata}))})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)  # safetensors' own writing hides a full disk's errno


def read(path: Path) -> tuple[bytes, dict[str, str]]:
    """Read and check a file of tensors; one without a digest, as older ones are, is checked for its format alone.

    Returns
    -------
    content : bytes
        The content of the safetensors file.
    metadata : dict of str
        What the file says of itself.

    Raises
    ------
    DamagedStore
        Where the file is not as it was written, or belongs elsewhere; it is quarantined.
    """
    refuse_folder(path)
    try:
        with safe_open(path, "numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
        content = path.read_bytes()
        if metadata.get(DIGEST, digest := _digest(content)) != digest:
            raise ValueError("its content does not match its digest")
        check_place(path, metadata.get("provenance"))
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
