"""A small experiment that several tests run."""

SKELETONS = """
title = "a real run"
[dataset]
name = "stick_figures"
subjects = 2
scenarios = ["d1"]
repetitions = 1
train_subjects = 1
[[streams]]
extractor = { name = "skeleton" }
model = { name = "drnn", order = 0, state = 8, steps = 8, fit = { epochs = 2 } }
"""
