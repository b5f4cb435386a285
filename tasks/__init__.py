"""Luigi tasks: what depends on what. ``luigi --module tasks Evaluate`` runs an experiment."""

import logging
import multiprocessing

from tasks import processes  # noqa: F401 (luigi's events are its doors)
from tasks.base import OneSentence
from tasks.evaluation import Evaluate, EvaluateAll, Fuse
from tasks.features import Extract, ExtractShard, FitExtractor
from tasks.frames import Decode
from tasks.index import Generate, Index
from tasks.training import FitReducer, Predict, Train

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
]

# Workers are spawned: a forked one would inherit torch's thread pools and CUDA's state, and hang on them.
multiprocessing.set_start_method("spawn", force=True)
logging.getLogger("luigi-interface").addFilter(OneSentence())
