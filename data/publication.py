"""Where a data set is had, and what of it there is."""

from typing import NamedTuple

AS_ITS_PAGE_SAYS = "as the publisher's page says"


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
        What its publisher allows, in a few words.
    homepage : str
        Address of the publisher's page; "" where there is none.
    size : str
        Size of what has to be downloaded, in a few words; "" where it is not known.
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
