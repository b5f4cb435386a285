"""Experiments: what a recipe's file says, validated."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, NonNegativeInt, model_validator

from pipeline.config import Config, one_of, parse
from pipeline.errors import InputError
from pipeline.pca.config import PCA
from pipeline.results.result import Metric
from pipeline.scoring.fusion_config import Fusion
from pipeline.training.mid_fusion import Join
from sequence_models import MODELS
from sequence_models.base import Model
from tasks.features import AnyExtractor
from tasks.index import AnyDataset
from tasks.recipes import located, resolved

DEFAULT = "stick-figures"
SIGNS: dict[Join, str] = {"sum": "⊕", "product": "⊙"}

if TYPE_CHECKING:
    AnyModel = Model
else:
    AnyModel = one_of(MODELS, "model")


class Input(Config):
    """The rows of an extractor, and what reduces them."""

    extractor: AnyExtractor
    reducer: PCA | None = None


class Stream(Config):
    """One stream: features, what reduces them, and the model that is trained on them."""

    extractor: AnyExtractor
    reducer: PCA | None = None
    model: AnyModel
    label: str = Field("", description="the stream's name in tables; by default extractor + model")
    reported: float | None = Field(None, description="the paper's figure for this stream alone, in per cent")
    join: ClassVar[None] = None

    def seeded(self, seed: int) -> Self:
        """The same on a network that its extractor trains from another seed."""
        return self.model_copy(update={"extractor": self.extractor.seeded(seed)})

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the model reads: the one input."""
        return (Input(extractor=self.extractor, reducer=self.reducer),)

    @property
    def title(self) -> str:
        """The stream's name in tables."""
        return self.label or f"{self.extractor.name} + {self.model.name}"


class JoinedStream(Config):
    """Mid fusion (Lakhal et al. 2018, section 3): one model on the sum or the product of several inputs' features.

    Inputs are joined by video id, step by step. Each is sampled to the model's ``steps`` on its own before, so that
    the same step is the same share of the video: in time the inputs differ by what rounding to a clip of each makes.
    A video that one of them lacks is lacking in the stream.
    """

    join: Join
    inputs: Annotated[tuple[Input, ...], Field(min_length=2)]
    model: AnyModel
    label: str = Field("", description="the stream's name in tables; by default extractors + model")
    reported: float | None = Field(None, description="the paper's figure for this stream alone, in per cent")

    def seeded(self, seed: int) -> Self:
        """As ``Stream.seeded``, of every input."""
        inputs = [each.model_copy(update={"extractor": each.extractor.seeded(seed)}) for each in self.inputs]
        return self.model_copy(update={"inputs": tuple(inputs)})

    @property
    def title(self) -> str:
        """The stream's name in tables."""
        joined = f" {SIGNS[self.join]} ".join(each.extractor.name for each in self.inputs)
        return self.label or f"{joined} + {self.model.name}"


def _single_or_joined(table: Any) -> Any:
    if not isinstance(table, Mapping):
        return table if isinstance(table, JoinedStream) else Stream.model_validate(table)
    if table.keys() & {"extractor", "reducer"} and table.keys() & {"inputs", "join"}:
        raise ValueError("a stream has an extractor of its own, or a join and several inputs with one each; not both")
    return (JoinedStream if table.keys() & {"inputs", "join"} else Stream).model_validate(table)


if TYPE_CHECKING:
    AnyStream = Stream | JoinedStream
else:
    AnyStream = Annotated[Stream | JoinedStream, BeforeValidator(_single_or_joined)]


class Experiment(Config):
    """A row of a paper's table, or one of the reader's own.

    notes: what a reader of the report must know, such as what differs from the paper.
    reported: the paper's figure in per cent, only where the recipe is the paper's own, stage one included.
    seeds: of one run each, in which the streams' models are trained from it. Where no stream has a model to train, as
    with ``consensus`` alone, it is added to the seeds of the networks that extractors train.
    """

    title: str
    table: str = ""
    notes: tuple[str, ...] = ()
    reported: float | None = None
    metric: Metric = "accuracy"
    dataset: AnyDataset
    streams: Annotated[tuple[AnyStream, ...], Field(min_length=1)]
    fusion: Fusion | None = None
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (len(self.streams) > 1) != (self.fusion is not None):
            raise ValueError("several streams need a fusion, such as { rule = 'product' }; a single one takes none")
        if self.fusion:
            self.fusion.check(len(self.streams))
            if self.fusion.choose and self.dataset.name == "validation":
                raise ValueError("a validation part has none of its own to choose weights on: give the weights")
        titles = [stream.title for stream in self.streams]
        if len(set(titles)) < len(titles):
            raise ValueError("two streams have the same name; give each a label")
        return self

    def streams_of(self, seed: int) -> tuple[AnyStream, ...]:
        """The streams in the run of a seed."""
        if any(stream.model.trained for stream in self.streams):
            return self.streams
        return tuple(stream.seeded(seed) for stream in self.streams)


def load_experiment(name_or_path: str) -> Experiment:
    """A bundled experiment by name, or one from a TOML file. Raises InputError that says what would be right."""
    path = located(name_or_path)
    try:
        experiment: Experiment = parse(Experiment, resolved(path))
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    return experiment
