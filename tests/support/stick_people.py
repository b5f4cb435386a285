"""Stick figures that perform an action."""

import numpy as np

from data.stick_figures.body import Person
from data.stick_figures.motion import ACTIONS, Performance, perform

SCENARIOS = ("d1", "d2", "d3", "d4")


def performed(
    action: str, scenario: str = "d1", seed: int = 0, repetitions: int = 3, camera_back_m: float = 0.0
) -> tuple[Person, Performance]:
    rng = np.random.default_rng([seed, ACTIONS.index(action), int(scenario[1])])
    person = Person.draw(rng)
    return person, perform(action, person, scenario, repetitions, None, camera_back_m, rng)
