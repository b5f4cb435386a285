"""Write and read files of tensors whose damage is noticed.

They are safetensors files, which have no checksum of their own, with a digest in the metadata.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pipeline.files.atomic import atomic_path, quarantine
from pipeline.files.place import check_place, refuse_folder

DIGEST = "blake2b"
"""Key of the digest in the metadata: of the header without this entry, and of the tensors' bytes."""


def write(path: Path, serialise: Callable[[dict[str, str]], bytes], metadata: Mapping[str, str]) -> None:
    """Write tensors and their metadata atomically, with a digest of both; the same ones give the same bytes.

    Parameters
    ----------
    path
        The file to write.
    serialise
        Given metadata, returns the content of a safetensors file that holds the tensors and this metadata.
    metadata
        What the file says of itself, without the digest.
    """
    content = _in_order(serialise({**metadata, DIGEST: _digest(serialise({**metadata}))}))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)  # safetensors' own writing hides a full disk's errno


def read(path: Path) -> tuple[bytes, dict[str, str]]:
    """Read and check a file of tensors; an older one, without digest or place, is checked for its format alone.

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
        provenance = metadata.get("provenance")
        older = DIGEST not in metadata and '"file":' not in (provenance or "")
        if not older and metadata.get(DIGEST) != _digest(content):
            raise ValueError("its content does not match its digest")
        check_place(path, provenance)
    except (SafetensorError, ValueError) as error:
        quarantine(path, error)
    return content, metadata


def _in_order(content: bytes) -> bytes:
    """Sort the header's entries, whose order safetensors draws anew each time."""
    header, start = _header(content)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    padded = text.ljust(-(-len(text) // 8) * 8)  # tensors begin at a multiple of eight bytes
    return len(padded).to_bytes(8, "little") + padded + content[start:]


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """Return the header, and the place where the tensors' bytes begin."""
    start = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:start]), start


def _digest(content: bytes) -> str:
    header, start = _header(content)
    header.get("__metadata__", {}).pop(DIGEST, None)
    digest = hashlib.blake2b(json.dumps(header, sort_keys=True).encode())
    digest.update(memoryview(content)[start:])
    return digest.hexdigest()
