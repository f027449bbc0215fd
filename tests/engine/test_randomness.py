"""Draws follow their laws: moments, shape and tails of many of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sim.program import Draw
from sim.randomness import ZIGGURAT, ZIGGURAT_TAIL, law_parameters, mix, sample, standard_exponential

COUNT = 200_000


def test_the_256_layers_of_the_ziggurat_have_equal_areas() -> None:
    assert len(ZIGGURAT) == 257
    heights = np.exp(-np.array(ZIGGURAT[1:]))
    areas = np.array(ZIGGURAT[1:-1]) * np.diff(heights)
    first = ZIGGURAT_TAIL * math.exp(-ZIGGURAT_TAIL) + math.exp(-ZIGGURAT_TAIL)  # a layer and the tail behind it
    assert areas == pytest.approx(first, rel=1e-9)


def test_exponential_values_are_exponential_also_beyond_the_last_layer() -> None:
    values = np.array([standard_exponential(mix(7, number)) for number in range(COUNT)])
    assert stats.kstest(values, "expon").pvalue > 0.01
    beyond = values[values > ZIGGURAT_TAIL] - ZIGGURAT_TAIL
    assert len(beyond) == pytest.approx(COUNT * math.exp(-ZIGGURAT_TAIL), abs=3 * math.sqrt(COUNT / 2200))
    assert stats.kstest(beyond, "expon").pvalue > 0.01


@pytest.mark.parametrize(
    ("law", "cv"),
    [
        ("exponential", 1.0),
        ("uniform", 1 / math.sqrt(3)),
        ("erlang", 0.5),
        ("lognormal", 0.7),
        ("hyperexponential", 2.0),
    ],
)
def test_every_law_has_the_mean_and_the_variation_that_it_was_asked_for(law: str, cv: float) -> None:
    parameters = law_parameters(Draw(3.0, law, cv))  # type: ignore[arg-type]
    values = np.array([sample(parameters, 11, 64 * number) for number in range(COUNT)])
    error = 3.0 * cv / math.sqrt(COUNT)
    assert values.mean() == pytest.approx(3.0, abs=4 * error)
    assert values.std() / values.mean() == pytest.approx(cv, rel=0.03)
