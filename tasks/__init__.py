"""Luigi tasks: what depends on what. ``luigi --module tasks Evaluate`` runs an experiment."""

import logging
import multiprocessing

from tasks import settings  # noqa: F401 (luigi's events are the first two's doors)
from tasks.base import OneSentence
from tasks.evaluation import Evaluate, EvaluateAll, Fuse
from tasks.features import Extract, ExtractShard, FitExtractor
from tasks.frames import Decode
from tasks.index import Generate, Index
from tasks.inputs import FitReducer
from tasks.runtime import sweep
from tasks.runtime import workers
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
]

settings.complete()  # ``luigi --module tasks`` asks for its own after this import, and ``kinescope`` passes here too
# A worker forked from luigi's own process would inherit its threads, and one that starts from nothing imports torch for
# seconds: workers are forked from a server that has imported everything and done nothing.
multiprocessing.set_start_method("forkserver", force=True)
multiprocessing.set_forkserver_preload(
    ["tasks", "torch", "cv2", "scipy.linalg", "pipeline.training.loop", "pipeline.store", "pipeline.video.decode"]
)
logging.getLogger("luigi-interface").addFilter(OneSentence())
