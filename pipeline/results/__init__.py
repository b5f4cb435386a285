"""Figures of an experiment: per run, per class, per hyperparameter, as tables."""
