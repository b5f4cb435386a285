"""Luigi tasks and their dependencies; ``luigi --module tasks Evaluate`` runs an experiment."""

import sys

from tasks.classification import Classify
from tasks.evaluation import Evaluate, EvaluateAll
from tasks.feature_sets import Features
from tasks.features import Extract, ExtractShard, FitExtractor
from tasks.frames import Decode
from tasks.fusion import Fuse
from tasks.index import Generate, Index
from tasks.notebook import load
from tasks.packing import Pack
from tasks.runtime.start import start
from tasks.stream_inputs import FitReducer
from tasks.training import Predict, Train

__all__ = [
    "Classify",
    "Decode",
    "Evaluate",
    "EvaluateAll",
    "Extract",
    "ExtractShard",
    "Features",
    "FitExtractor",
    "FitReducer",
    "Fuse",
    "Generate",
    "Index",
    "Pack",
    "Predict",
    "Train",
    "load",
    "start",
]

if "luigi.cmdline" in sys.modules:  # ``luigi --module tasks`` loads this package to run its tasks
    start()
