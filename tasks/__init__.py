"""Luigi tasks and their dependencies; ``luigi --module tasks Evaluate`` runs an experiment."""

import sys

from tasks.evaluation import Evaluate, EvaluateAll
from tasks.features import Extract, ExtractShard, FitExtractor
from tasks.frames import Decode
from tasks.fusion import Fuse
from tasks.index import Generate, Index
from tasks.runtime.start import start
from tasks.stream_inputs import FitReducer
from tasks.training import Predict, Train

__all__ = [
    "Decode",
    "Evaluate",
    "EvaluateAll",
    "Extract",
    "ExtractShard",
    "FitExtractor",
    "FitReducer",
    "Fuse",
    "Generate",
    "Index",
    "Predict",
    "Train",
    "start",
]

if "luigi.cmdline" in sys.modules:  # ``luigi --module tasks`` loads this package to run its tasks
    start()
