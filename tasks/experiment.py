"""Recipes: what one TOML file says, and where the bundled ones are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, NonNegativeInt, model_validator

from pipeline.config import Config, one_of, parse, read_toml, unknown
from pipeline.errors import InputError
from pipeline.reducer import PCA
from pipeline.results import Metric
from pipeline.scores import Fusion
from sequence_models import MODELS
from sequence_models.base import Model
from tasks.features import AnyExtractor
from tasks.index import AnyDataset

BUNDLED = Path(__file__).parent / "experiments"
DEFAULT = "stick-figures"

if TYPE_CHECKING:
    AnyModel = Model
else:
    AnyModel = one_of(MODELS, "model")


class Stream(Config):
    """One stream: features, what reduces them, and the model that is trained on them."""

    extractor: AnyExtractor
    reducer: PCA | None = None
    model: AnyModel
    label: str = Field("", description="the stream's name in tables; by default extractor + model")
    reported: float | None = Field(None, description="the paper's figure for this stream alone, in per cent")

    @property
    def title(self) -> str:
        """The stream's name in tables."""
        return self.label or f"{self.extractor.name} + {self.model.name}"


class Experiment(Config):
    """A row of a paper's table, or one of the reader's own.

    notes: what a reader of the report must know, such as what differs from the paper.
    reported: the paper's figure in per cent, only where the recipe is the paper's own, stage one included.
    """

    title: str
    table: str = ""
    notes: tuple[str, ...] = ()
    reported: float | None = None
    metric: Metric = "accuracy"
    dataset: AnyDataset
    streams: Annotated[tuple[Stream, ...], Field(min_length=1)]
    fusion: Fusion | None = None
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (len(self.streams) > 1) != (self.fusion is not None):
            raise ValueError("several streams need a fusion, such as { rule = 'product' }; a single one takes none")
        if self.fusion and self.fusion.weights and len(self.fusion.weights) != len(self.streams):
            raise ValueError(f"fusion has {len(self.fusion.weights)} weights for {len(self.streams)} streams")
        titles = [stream.title for stream in self.streams]
        if len(set(titles)) < len(titles):
            raise ValueError("two streams have the same name; give each a label")
        return self


def load_experiment(name_or_path: str) -> Experiment:
    """A bundled experiment by name, or one from a TOML file. Raises InputError that says what would be right."""
    names = bundled()
    path = BUNDLED / f"{name_or_path}.toml" if name_or_path in names else Path(name_or_path)
    if name_or_path not in names and path.suffix != ".toml":
        raise InputError(unknown("experiment", name_or_path, names) + "; or give the path of a .toml file")
    try:
        experiment: Experiment = parse(Experiment, read_toml(path))
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    return experiment


def bundled() -> list[str]:
    """Names of the bundled experiments."""
    return sorted(path.stem for path in BUNDLED.glob("*.toml"))
