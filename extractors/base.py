"""Interface of extractors: their configuration, what they read, and the rows that they make."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from pydantic import Field

from extractors.weights.sources import locate
from pipeline.config import MAX_SEED, Config
from pipeline.errors import InputError
from pipeline.preparation.extraction import NetworkExtraction, Prepared
from pipeline.rows import Partial, Row
from pipeline.training.devices import choose

if TYPE_CHECKING:
    import torch

    from pipeline.training.batches import Target
    from pipeline.training.curves import Curves
    from pipeline.video.film import Film

__all__ = [
    "Clip",
    "Extract",
    "Extraction",
    "Extractor",
    "FittedNetwork",
    "Labelled",
    "NetworkExtraction",
    "Prepared",
    "Row",
]


DECODING = 3
"""Version of decoding, raised when it delivers other frames, times or notes of a video."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip: all frames of a file, or of a folder of pictures, or a range of them.

    Parameters
    ----------
    path : Path
        The file, or of a video a folder of numbered pictures, which are its frames.
    frames : (int, int), optional
        Half-open range of its frames; None for all.
    span_s : (float, float), optional
        Of a video, instead of that, half-open range of times in seconds from its first frame on; None for all.
    film : Film, optional
        The same video, where other clips of it are read, too, so that it is decoded once for all of them.
    fps : float, optional
        Of a folder of pictures, how many are shown in a second; a file says it itself.
    """

    path: Path
    frames: tuple[int, int] | None = None
    span_s: tuple[float, float] | None = None
    film: "Film | None" = None
    fps: float | None = None


Extract = Callable[[Any], Iterator[Row]]
"""A function that makes the rows of a clip, or of the upstream rows of one video, whichever its extractor reads."""


class Extraction(Protocol):
    """A built extractor, ready to make rows on a device.

    Notes
    -----
    It is deterministic: rows depend on their source alone, not on what was extracted before.
    """

    def __call__(self, source: "Clip | Sequence[Row]") -> Iterator[Row]:
        """Make the rows of one video.

        Parameters
        ----------
        source : Clip or sequence of Row
            The clip, or the upstream rows of the video, one for each variant.

        Yields
        ------
        Row
            One for each variant, the video as it is first. A row that a sequence model reads holds ``features`` (time,
            dim) and ``start_frames`` (time,) int64, and where the file is a video ``times`` and ``ends`` (time,)
            float64: when each entry's first frame is shown and its last ends, in seconds from the file's first frame
            on. Its attributes are ``frames``, ``fps`` where the file says it, and whatever else is worth knowing.

        Raises
        ------
        UnusableVideo
            Where the video is at fault; it becomes a failure with its reason, and the other videos go on.
        TypeError
            Where the source is a clip and rows are needed, or the other way round.
        """


@dataclass(frozen=True, slots=True)
class Labelled:
    """Training material of a fitted extractor.

    Parameters
    ----------
    rows : sequence of Row
        Upstream rows of every variant of every training video, which are read on demand.
    labels : sequence of Target
        Target of each row: its class, or classes.
    classes : int
        Number of classes.
    videos : sequence of str
        Id of each row's video.
    start : Path, optional
        Safetensors file of the trained network of ``Extractor.started_from``, where there is one.
    preparers : int
        Number of processes that may read rows beside the training.
    """

    rows: Sequence[Row]
    labels: "Sequence[Target]"
    classes: int
    videos: Sequence[str]
    start: Path | None = None
    preparers: int = 0

    def partial(self, index: int) -> Mapping[str, Partial]:
        """Return one row's arrays, of which only the parts that are indexed are read from a store."""
        from pipeline.training.sequences import StoredRows

        return self.rows.partial(index) if isinstance(self.rows, StoredRows) else self.rows[index].arrays


class FittedNetwork(Config):
    """The part of an extractor that is fitted to the training videos of a split, with a fingerprint of its own.

    Notes
    -----
    A subclass declares the fields that the result depends on, and ``train``. What it does not declare, such as test
    crops, does not make it train again.
    """

    uses_gpu: ClassVar[bool] = False
    """True where a GPU makes the fit faster."""

    seed: int = Field(0, ge=0, le=2 * MAX_SEED, description="seed of all random numbers: of its own or a sum of two")

    def check_files(self) -> None:
        """Raise InputError where a file that it names, by its path, is not what the training needs."""

    @abstractmethod
    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """Fit to the training videos.

        Parameters
        ----------
        material : Labelled
            Rows of ``Extractor.fitted_on`` for the training videos, with their labels.
        device : str
            Torch device: "cpu" or "cuda".
        checkpoint : Path
            File to continue from where it exists, and to save progress in; a fit that takes minutes need not use it.

        Returns
        -------
        state : dict of str to Tensor
            State dict on the CPU, which is saved as safetensors.
        curves : Curves
            Loss and accuracy, epoch by epoch; empty where there is nothing to draw.

        Raises
        ------
        InputError
            Where the material or a file of weights does not suit the configuration.
        """


class Extractor(Config):
    """Configuration of an extractor: everything that its rows depend on besides the video.

    Notes
    -----
    A subclass declares ``name`` as a ``Literal`` with a default, a field for each parameter that may change a number,
    and ``_build``; it overrides the properties whose defaults do not hold. A line in ``extractors.EXTRACTORS`` makes it
    known to recipes.

    - Whatever changes numbers without a field changing is a new ``version``. A field that comes later, and at its
      default changes no number, is listed in ``added``.
    - Its rows' names, shapes and units belong into its docstring.
    - Heavy libraries (torch, OpenCV, the decoder) are imported within ``_build`` and the functions that it returns, so
      that a configuration is cheap to read.

    Examples
    --------
    An extractor whose rows hold the mean grey level of each frame:

    >>> from typing import Literal
    >>> import numpy as np
    >>> from extractors.clip_reader import ClipReader
    >>> class Brightness(Extractor):
    ...     name: Literal["brightness"] = "brightness"
    ...
    ...     def _build(self, device, states):
    ...         def extract(clip):
    ...             reader = ClipReader(clip, colour="grey")
    ...             levels = np.array([frame.mean(dtype=np.float32) for frame in reader.frames()])
    ...             numbers = np.arange(len(levels))
    ...             arrays = {"features": levels[:, None], "start_frames": numbers}
    ...             yield Row({**arrays, **reader.clock.spans(numbers, numbers)}, reader.attributes)
    ...
    ...         return extract
    >>> Brightness().canonical()
    '{"name":"brightness"}'
    """

    name: str = Field(description="name of the extractor")
    reads: ClassVar[str] = "video"
    """Modality of the file that it is computed from: "video" or "skeleton"."""

    uses_gpu: ClassVar[bool] = False
    """True where a GPU makes it faster."""

    @property
    def title(self) -> str:
        """Name for people."""
        return self.name

    def significant(self, digest: Callable[[str], str]) -> dict[str, Any]:
        """Return what enters a fingerprint: where a video is decoded, the version of decoding, too."""
        decodes = self.reads == "video" and self.upstream is None
        return {**super().significant(digest), **({"decoding": DECODING} if decodes else {})}

    @property
    def variants(self) -> int:
        """Number of rows of a video: 1, and one for each augmented copy."""
        return 1

    @property
    def gives(self) -> frozenset[str]:
        """What its rows give a sequence model: "features", and "scores" where its network was trained on the classes.

        Nothing where they are made for other extractors alone.
        """
        return frozenset({"features"})

    @property
    def flow_pictures(self) -> str | None:
        """Pattern of pictures of flow that it reads besides the clip; None where it reads none.

        ``extractors.tvl1.precomputed`` finds them. Their content is part of a row's key.
        """
        return None

    @property
    def upstream(self) -> "Extractor | None":
        """Extractor whose rows this one reads; None where it reads the file itself."""
        return None

    @property
    def fitted(self) -> FittedNetwork | None:
        """Part that is fitted to the split's training videos first; None where nothing is."""
        return None

    @property
    def fitted_on(self) -> "Extractor | None":
        """Extractor whose rows ``fitted`` is fitted to."""
        return self.upstream

    @property
    def started_from(self) -> "Extractor | None":
        """Extractor whose fitted network the training starts from; None where it starts from files alone."""
        return None

    def seeded(self, seed: int) -> Self:
        """Return the extractor of a further run, in which a network that gives scores is trained with another seed.

        Parameters
        ----------
        seed : int
            Added to the network's own seed. An extractor without such a network stays as it is.
        """
        return self

    @property
    def serves_all_folds(self) -> bool:
        """True where a single extraction serves all folds.

        It is then built with the states of all folds, and its rows hold an array ``features-<fold name>`` for each.
        """
        return False

    def array(self, name: str, fold: str) -> str:
        """Return the name in the rows of the array ``name`` of a fold."""
        return f"{name}-{fold}" if self.serves_all_folds else name

    def check_files(self) -> None:
        """Check the files that it and what it is computed from name, by their paths, before anything is computed.

        Raises
        ------
        InputError
            Where a file is not what is needed.
        """
        for part in (self.upstream, self.fitted, self.started_from):
            if part is not None:
                part.check_files()

    def build(self, device: str, states: Mapping[str, Path] = {}) -> Extraction:
        """Import what is needed, and make it ready on a device.

        Parameters
        ----------
        device : str
            Torch device: "cpu", "cuda" or "cuda:<n>".
        states : mapping of str to Path
            Safetensors files of what was fitted, by the name of the fold: none where nothing is fitted, those of all
            folds where one extraction ``serves_all_folds``, otherwise a single one.

        Returns
        -------
        Extraction

        Raises
        ------
        ValueError
            Where other states are given.
        InputError
            Where a file is not what is needed.
        """
        self._check_states(states)
        extract = self._build(device, states)
        if isinstance(extract, NetworkExtraction):
            return replace(extract, prepare=partial(_checked, self, extract.prepare))
        return partial(_checked, self, extract)

    def open(
        self,
        device: str = "auto",
        *,
        weights: Path | str = "weights",
        offline: bool = False,
        states: Mapping[str, Path] = {},
    ) -> Callable[["Clip | Path | str"], Iterator[Row]]:
        """Make it ready for files, together with all that it is computed from.

        Parameters
        ----------
        device : str
            "auto", which is a GPU where there is one, "cpu", "cuda" or "cuda:<n>".
        weights : Path or str
            Folder of the pretrained weights that are known by name.
        offline : bool
            Whether such weights, where they are not there, may not be downloaded.
        states : mapping of str to Path
            As for ``build``.

        Returns
        -------
        callable
            Given a clip, or the path of a file, it yields the rows, as an ``Extraction`` does.

        Raises
        ------
        InputError
            Where CUDA is asked for and absent, or a file of weights is missing or not what is needed.
        ValueError
            Where other states are given.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from extractors import Frames
        >>> from pipeline.video.encode import write
        >>> path = Path(tempfile.mkdtemp()) / "moving.mp4"
        >>> write(path, np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), np.uint8), fps=25)
        >>> for row in Frames(short_side=24).open(device="cpu")(path):
        ...     print(row["times"].round(2), row.attributes["frames"])
        [0.   0.04 0.08 0.12] 4
        """
        ready = self.located(lambda name: str(locate(name, Path(weights), offline=offline)))
        extract = ready.build(choose(device), states)
        before = None if ready.upstream is None else ready.upstream.open(device, weights=weights, offline=offline)

        def rows(source: Clip | Path | str) -> Iterator[Row]:
            clip = source if isinstance(source, Clip) else Clip(Path(source))
            return extract(clip if before is None else list(before(clip)))

        return rows

    @abstractmethod
    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Return a function from a clip, or from upstream rows, to rows; ``build`` checks states and sources.

        Where a network computes on what is decoded, return a ``NetworkExtraction``: its parts may run beside each
        other, in several processes.
        """

    def _check_states(self, states: Mapping[str, Path]) -> None:
        if self.fitted is None and states:
            raise ValueError(f"{self.name} takes no fitted state as it is configured, not {len(states)}")
        if self.serves_all_folds and not states:
            raise ValueError(f"{self.name} needs the files of what was fitted in all folds; there is none")
        if self.fitted is not None and not self.serves_all_folds and len(states) != 1:
            raise ValueError(f"{self.name} needs the file of what was fitted in one fold, not in {len(states)}")

    def _check_source(self, source: Clip | Sequence[Row]) -> None:
        if self.upstream is None and not isinstance(source, Clip):
            raise TypeError(f"{self.name} reads a {self.reads} file, not rows")
        if self.upstream is not None and isinstance(source, Clip):
            raise TypeError(f"{self.name} reads rows of {self.upstream.name}, not a file")
        if isinstance(source, Clip) and source.span_s is not None and self.reads != "video":
            raise InputError(f"{source.path}: {self.name} cannot read a span in seconds of a file without times")


def _checked(config: Extractor, read: Callable[[Any], Iterator[Any]], source: Clip | Sequence[Row]) -> Iterator[Any]:
    config._check_source(source)
    return read(source)
