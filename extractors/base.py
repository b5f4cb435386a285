"""What an extractor promises."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from pydantic import NonNegativeInt

from pipeline.config import Config
from pipeline.rows import Partial, Row

if TYPE_CHECKING:
    import torch

    from pipeline.training.batches import Target
    from pipeline.training.curves import Curves

__all__ = ["Clip", "Extract", "Extraction", "Extractor", "FittedNetwork", "Labelled", "Row"]


@dataclass(frozen=True, slots=True)
class Clip:
    """What an extractor that reads a file is given: the file, and the half-open range of its frames (None: all)."""

    path: Path
    frames: tuple[int, int] | None = None


Extract = Callable[[Any], Iterator[Row]]
"""Makes the rows of a clip, or of the upstream rows of one video, whichever its extractor reads."""


class Extraction(Protocol):
    """A built extractor: one clip, or the upstream rows of one video (one a variant), to one row a variant.

    Deterministic: rows depend on their input alone, not on what was extracted before.
    Raises UnusableVideo where the video is at fault.
    """

    def __call__(self, source: "Clip | Sequence[Row]") -> Iterator[Row]: ...


@dataclass(frozen=True, slots=True)
class Labelled:
    """The training material of a fitted extractor: upstream rows on demand, and of each the class and the video.

    rows: every variant of every training video; reading one opens the store lazily.
    labels: what each row is trained towards; videos: ids.
    start: the trained network that ``Extractor.started_from`` leads to, where the training starts from one.
    """

    rows: Sequence[Row]
    labels: "Sequence[Target]"
    classes: int
    videos: Sequence[str]
    start: Path | None = None

    def partial(self, index: int) -> Mapping[str, Partial]:
        """One row's arrays; where they lie in a store, only the parts that are asked for are read."""
        from pipeline.training.sequences import StoredRows

        return self.rows.partial(index) if isinstance(self.rows, StoredRows) else self.rows[index].arrays


class FittedNetwork(Config):
    """The part of an extractor that is trained on the training videos of a split, with a fingerprint of its own."""

    seed: NonNegativeInt = 0

    @abstractmethod
    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """The trained state dict and its curves; continues from ``checkpoint`` where that exists."""


class Extractor(Config):
    """A configuration that can be built into an ``Extraction``."""

    name: str
    reads: ClassVar[str] = "video"
    """The modality of the file it is computed from: "video" or "skeleton"."""

    uses_gpu: ClassVar[bool] = False
    """Whether a GPU makes it faster."""

    @property
    def variants(self) -> int:
        """Rows a video: 1 + the number of augmented copies."""
        return 1

    @property
    def upstream(self) -> "Extractor | None":
        """The extractor whose rows this one reads; None where it reads the file itself."""
        return None

    @property
    def fitted(self) -> FittedNetwork | None:
        """What must be trained on the split's training videos first; None where nothing is."""
        return None

    @property
    def fitted_on(self) -> "Extractor | None":
        """The extractor whose rows are the material of that training."""
        return self.upstream

    @property
    def started_from(self) -> "Extractor | None":
        """The extractor whose fitted network that training starts from; None where it starts from files alone."""
        return None

    def seeded(self, seed: int) -> Self:
        """The same, with a network that is trained from its own seed plus ``seed``, where one is trained for scores."""
        return self

    @property
    def serves_all_folds(self) -> bool:
        """Whether one extraction serves all folds.

        It is then given what was fitted in every fold, and its rows hold an array ``features-<fold name>`` for each.
        """
        return False

    def array(self, name: str, fold: str) -> str:
        """What the rows call the array ``name`` of a fold."""
        return f"{name}-{fold}" if self.serves_all_folds else name

    def build(self, device: str, states: Mapping[str, Path] = {}) -> Extraction:
        """Import what is needed, and make it ready on ``device``.

        Parameters
        ----------
        device
            Torch device: "cpu", "cuda" or "cuda:<n>".
        states
            By the name of the fold, the safetensors file of what was fitted in it: none where nothing is fitted, those
            of all folds where one extraction ``serves_all_folds``, else a single one.

        Raises
        ------
        ValueError
            Where there are other states than these.
        InputError
            Where a file is not what is needed.
        """
        self._check_states(states)
        extract = self._build(device, states)

        def checked(source: Clip | Sequence[Row]) -> Iterator[Row]:
            self._check_source(source)
            return extract(source)

        return checked

    @abstractmethod
    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Return what makes rows of a clip, or of upstream rows: ``build`` has checked ``states``, and checks these."""

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
