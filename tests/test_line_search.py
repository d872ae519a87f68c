"""The strong Wolfe conditions, by themselves: on Rosenbrock's valley, on parabolas, at cliffs."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from nstbench.optimizers import line_search
from nstbench.optimizers.line_search import CURVATURE, SUFFICIENT_DECREASE, Trial, strong_wolfe


def along(function, x, direction):
    """`function(x) -> (value, gradient)` on a line, as the search wants it."""

    def evaluate(t):
        value, gradient = function(x + t * direction)
        return Trial(t, value, float(gradient @ direction))

    return evaluate


def rosenbrock(x):
    return float(optimize.rosen(x)), optimize.rosen_der(x)


def assert_wolfe(trial, start):
    assert trial.loss <= start.loss + SUFFICIENT_DECREASE * trial.t * start.slope
    assert abs(trial.slope) <= CURVATURE * abs(start.slope)


coordinates = st.lists(st.floats(-2, 2), min_size=2, max_size=5).map(np.array)


@settings(deadline=None, max_examples=200)
@given(coordinates, st.floats(1e-4, 10))
def test_strong_wolfe_conditions_hold_on_rosenbrock(x, first):
    _, gradient = rosenbrock(x)
    if np.linalg.norm(gradient) < 1e-3:
        return
    direction = -gradient / np.linalg.norm(gradient)
    evaluate = along(rosenbrock, x, direction)
    start = evaluate(0.0)
    made = []
    trial = strong_wolfe(
        lambda t: made.append(t) or evaluate(t), start, first, np.abs(direction).max()
    )
    assert_wolfe(trial, start)
    assert len(made) <= line_search.MOST_EVALUATIONS


@settings(deadline=None, max_examples=200)
@given(st.floats(1e-3, 1e3), st.floats(1e-2, 1e2), st.floats(1e-3, 1e2))
def test_strong_wolfe_conditions_hold_on_quadratics(curvature, minimum, first):
    def evaluate(t):
        return Trial(t, curvature * (t - minimum) ** 2, 2 * curvature * (t - minimum))

    assert_wolfe(strong_wolfe(evaluate, evaluate(0.0), first, 1.0), evaluate(0.0))


def test_line_search_ends_where_the_loss_is_not_finite():
    def evaluate(t):
        return Trial(t, math.inf if t > 0 else 1.0, math.nan if t > 0 else -1.0)

    assert math.isinf(strong_wolfe(evaluate, evaluate(0.0), 1.0, 1.0).loss)
