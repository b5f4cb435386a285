"""A small data set and a small experiment that several tests run."""

SMALL = """
[dataset]
name = "stick_figures"
subjects = 2
scenarios = ["d1"]
repetitions = 1
train_subjects = 1
"""
SKELETONS = f"""
title = "a real run"
{SMALL}
[[streams]]
extractor = {{ name = "skeleton" }}
model = {{ name = "drnn", order = 0, state = 8, steps = 8, fit = {{ epochs = 2 }} }}
"""
