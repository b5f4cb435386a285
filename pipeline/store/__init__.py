"""Keep rows in HDF5 stores: journal each finished video, seal whole shards, read by video id."""

from pipeline.store.reader import Store, provenance

__all__ = ["Store", "provenance"]
