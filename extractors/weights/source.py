"""Where pretrained weights are had."""

from typing import NamedTuple


class Source(NamedTuple):
    """Address of weights, their terms of use, and names of the files that hold them.

    Parameters
    ----------
    url : str
        Address of their publisher.
    files : tuple of str
        Name in the folder of weights under which they are downloaded, and others under which they may lie there.
    licence : str
        Terms of use, as far as the publisher states them.
    sha256 : str
        First digits of the file's SHA-256 as its publisher states them; "" where nobody does.
    hub : bool
        Whether the address is of the Hugging Face Hub, which states the digest when it is asked.
    """

    url: str
    files: tuple[str, ...]
    licence: str
    sha256: str = ""
    hub: bool = False
