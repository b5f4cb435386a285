"""Experiments: the validated contents of recipe files."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from extractors.base import Extractor
from pipeline.config import Config, Seed, WithoutAdded, one_of, parse
from pipeline.errors import InputError
from pipeline.pca.config import PCA
from pipeline.results.result import Metric
from pipeline.scoring.fusion_config import Fusion
from pipeline.training.mid_fusion import Join
from sequence_models import MODELS
from sequence_models.base import Model
from tasks.features import AnyExtractor
from tasks.index import RecipeDataset
from tasks.recipes import find_recipe, read_recipe

DEFAULT = "stick-figures"
SIGNS: dict[Join, str] = {"sum": "⊕", "product": "⊙"}

if TYPE_CHECKING:
    AnyModel = Model
else:
    AnyModel = one_of(MODELS, "model")


class Input(Config):
    """Input of a model: the rows of an extractor, and the reducer of their dimensions."""

    extractor: AnyExtractor = Field(description="the extractor whose rows are read")
    reducer: PCA | None = Field(
        None, description="the reducer of the features' dimensions; None: they stay as they are"
    )


def _check_reads(model: Model, inputs: Sequence[Input]) -> None:
    """Raise ValueError where the rows of an input do not have what a model reads: before days of flow are computed."""
    for extractor in (each.extractor for each in inputs):
        if model.reads not in extractor.gives:
            remedy = (
                "give its network a fit, or choose a model that reads features"
                if "features" in extractor.gives
                else "choose an extractor that makes features of them, such as tsn"
            )
            raise ValueError(f"{model.name} reads {model.reads}, which rows of {extractor.name} do not have: {remedy}")


class Stream(Config):
    """Stream of an experiment: an extractor, a reducer of its features, and the model that is trained on them."""

    extractor: AnyExtractor = Field(description="the extractor whose rows are read")
    reducer: PCA | None = Field(
        None, description="the reducer of the features' dimensions; None: they stay as they are"
    )
    model: AnyModel = Field(description="the model that turns the features into scores")
    label: str = Field("", description="the stream's name in tables; by default extractor + model")
    reported: float | None = Field(
        None, ge=0, le=100, description="the paper's figure for this stream alone, in percent"
    )
    join: ClassVar[None] = None

    @model_validator(mode="after")
    def _readable(self) -> Self:
        _check_reads(self.model, self.inputs)
        return self

    def seeded(self, seed: int) -> Self:
        """Return the same stream with ``seed`` added to the seed of the network that its extractor trains."""
        return self.model_copy(update={"extractor": self.extractor.seeded(seed)})

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Inputs of the model: the only one."""
        return (Input(extractor=self.extractor, reducer=self.reducer),)

    @property
    def title(self) -> str:
        """Name of the stream in tables."""
        return self.label or f"{self.extractor.name} + {self.model.name}"


class JoinedStream(Config):
    """Stream with mid fusion: one model on the sum or the product of several inputs' features.

    Inputs are joined by video id, step by step. Each is first sampled to the model's ``steps`` by itself, so that a
    step stands for the same part of the video in all of them, up to rounding to one of the input's clips. A video that
    one input lacks is missing from the stream.

    References
    ----------
    Lakhal et al., *Residual Stacked RNNs for Action Recognition*, ECCV Workshops 2018, section 3.
    """

    join: Join = Field(description="the operation that joins the inputs' features, element by element")
    inputs: Annotated[tuple[Input, ...], Field(min_length=2)] = Field(description="the inputs, two or more")
    model: AnyModel = Field(description="the model that turns the joined features into scores")
    label: str = Field("", description="the stream's name in tables; by default extractors + model")
    reported: float | None = Field(
        None, ge=0, le=100, description="the paper's figure for this stream alone, in percent"
    )

    @model_validator(mode="after")
    def _readable(self) -> Self:
        _check_reads(self.model, self.inputs)
        return self

    def seeded(self, seed: int) -> Self:
        """Return the same stream with ``seed`` added to the seed of the network of every input's extractor."""
        inputs = [each.model_copy(update={"extractor": each.extractor.seeded(seed)}) for each in self.inputs]
        return self.model_copy(update={"inputs": tuple(inputs)})

    @property
    def title(self) -> str:
        """Name of the stream in tables."""
        joined = f" {SIGNS[self.join]} ".join(each.extractor.name for each in self.inputs)
        return self.label or f"{joined} + {self.model.name}"


def _single_or_joined(table: Any) -> Any:
    if not isinstance(table, Mapping):
        return table if isinstance(table, JoinedStream) else Stream.model_validate(table)
    if table.keys() & {"extractor", "reducer"} and table.keys() & {"inputs", "join"}:
        raise ValueError(
            "a stream has either an extractor, or a join and several inputs with an extractor each; not both"
        )
    return (JoinedStream if table.keys() & {"inputs", "join"} else Stream).model_validate(table)


if TYPE_CHECKING:
    AnyStream = Stream | JoinedStream
else:
    AnyStream = Annotated[Stream | JoinedStream, BeforeValidator(_single_or_joined)]


class Experiment(WithoutAdded):
    """Experiment: a row of a paper's table, or one of the user's own.

    It trains and tests each of its streams on every fold of its data set, once for each seed, and fuses their scores.

    Examples
    --------
    >>> experiment = load_experiment("msr-action3d-drnn2")
    >>> experiment.dataset.name, [stream.title for stream in experiment.streams]
    ('msr_action3d', ['skeleton + dRNN-2'])
    """

    added: ClassVar[frozenset[str]] = frozenset({"positive"})

    title: str = Field(description="the experiment's title in reports")
    table: str = Field("", description="the paper's table that the experiment repeats")
    notes: tuple[str, ...] = Field(
        (), description="sentences for readers of the report, such as deviations from the paper"
    )
    reported: float | None = Field(
        None,
        ge=0,
        le=100,
        description="the paper's figure in percent; only where the recipe is the paper's own, stage one included",
    )
    metric: Metric = Field("accuracy", description="the metric of the reported figure")
    dataset: RecipeDataset = Field(description="the data set, with its protocol")
    streams: Annotated[tuple[AnyStream, ...], Field(min_length=1)] = Field(description="the streams, one or more")
    fusion: Fusion | None = Field(None, description="late fusion of the streams' scores; needed for several streams")
    positive: str = Field("", description="of two classes the one that is detected, for ROC curve and F1; the second")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        (0,),
        description="seeds of the models, one run each; where no stream has a model to train, as with consensus alone, "
        "they are added to the seeds of the networks that the extractors train",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (len(self.streams) > 1) != (self.fusion is not None):
            raise ValueError(
                "several streams need a fusion, such as { rule = 'product' }, and a single stream must not have one"
            )
        if self.fusion:
            self.fusion.check(len(self.streams))
            if self.fusion.choose and self.dataset.name == "validation":
                raise ValueError(
                    "a validation part has no validation part of its own to choose weights on: give the weights"
                )
        titles = [stream.title for stream in self.streams]
        if len(set(titles)) < len(titles):
            raise ValueError("two streams have the same name; give each a label")
        return self

    @property
    def extractors(self) -> tuple[Extractor, ...]:
        """Extractors of all inputs of its streams."""
        return tuple(each.extractor for stream in self.streams for each in stream.inputs)

    def streams_of(self, seed: int) -> tuple[AnyStream, ...]:
        """Return the streams in the run of a seed."""
        if any(stream.model.trained for stream in self.streams):
            return self.streams
        return tuple(stream.seeded(seed) for stream in self.streams)


def load_experiment(name_or_path: str) -> Experiment:
    """Load a bundled experiment by name, or one from a TOML file.

    Parameters
    ----------
    name_or_path : str
        Name of a bundled experiment, or path of a TOML file.

    Raises
    ------
    InputError
        Where there is no such experiment, or a field is wrong; the message says what would be right.
    """
    path = find_recipe(name_or_path)
    try:
        experiment: Experiment = parse(Experiment, read_recipe(path))
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    return experiment
