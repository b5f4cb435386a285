"""Where a data set is had, and what of it there is."""

from typing import NamedTuple

NONE_KNOWN = "none known; research use is customary"
"""Licence of what is published without one, as far as could be found."""


class Publication(NamedTuple):
    """What is said of a data set to whoever has to get it.

    The layout that is expected, and the paper, are described by the docstring of the data set.

    Attributes
    ----------
    title : str
        Its name in print.
    access : str
        Sentences on how it is had.
    licence : str
        What its publisher allows, in a few words, or that no such words are known.
    homepage : str
        Address of the publisher's page; "" where there is none.
    size : str
        Size of what has to be downloaded, in a few words, or that it is not known; "" where nothing has to be.
    videos, classes : int
        Published numbers; 0 where none were published.
    """

    title: str
    access: str
    licence: str
    homepage: str = ""
    size: str = ""
    videos: int = 0
    classes: int = 0
