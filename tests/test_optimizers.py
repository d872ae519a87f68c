"""All optimizers: they go down, stay in the box, count, and continue from a checkpoint unnoticed.

Everything here runs on whatever backend Keras was started with; `test_backends.py` repeats it on
the others.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy import optimize

from nstbench import optimizers
from nstbench import engine as engines
from nstbench.errors import SettingsError
from nstbench.optimizers import first_order, line_search
from nstbench.optimizers.lbfgs import LBFGS
from nstbench.optimizers.line_search import CURVATURE, SUFFICIENT_DECREASE, Trial, strong_wolfe
from nstbench.settings import config
from nstbench.transfer import problem
from nstbench.transfer.objective import Objective

ALL = config.choices("optimizer")
FIRST_ORDER = list(first_order.CLASSES)
SIDE = 6


@pytest.fixture(scope="module")
def engine():
    return engines.load("cpu")


def chosen(name, **changes):
    """The settings of `conf/optimizer/<name>.yaml`."""
    return config.resolve(
        [f"optimizer={name}", *(f"optimizer.{k}={v}" for k, v in changes.items())]
    ).optimizer


def valley(engine):
    """Rosenbrock's valley along every row of pixels, with its minimum inside the box."""

    def terms(images, parameters):
        flat = ops.reshape(images, (images.shape[0], -1))
        bend = ops.sum(ops.square(flat[:, 1:] - ops.square(flat[:, :-1])), axis=1)
        pull = ops.sum(ops.square(flat - parameters["target"]), axis=1)
        return {"content": pull, "style": 10.0 * bend, "tv": 0.0 * pull}

    target = np.random.default_rng(1).random((SIDE * SIDE * 3,), np.float32)
    return Objective(terms, {"target": ops.convert_to_tensor(target, dtype=engine.dtype)})


def start(lanes=1, seed=0):
    return np.random.default_rng(seed).random((lanes, SIDE, SIDE, 3), np.float32)


def on_valley(engine, *settings, seed=0):
    return optimizers.create(settings, engine, valley(engine), start(len(settings), seed))


def test_every_optimizer_is_one_of_the_config_group():
    assert sorted([*FIRST_ORDER, "lbfgs", "lbfgsb"]) == ALL == sorted(config.OPTIMIZERS)


@pytest.mark.parametrize("name", ALL)
def test_every_hyperparameter_of_keras_is_in_the_yaml(name):
    """What Keras would default silently is written down, and equal unless the YAML says why."""
    options = {k: v for k, v in vars(chosen(name)).items() if k not in ("name", "lr")}
    if name not in first_order.CLASSES:
        pytest.skip("not Keras's")
    known = first_order.make(name, 0.1, {}).get_config()
    for key, value in options.items():
        if key not in ("decay", "decay_steps"):
            assert key in known
            if (name, key) != ("adamw", "weight_decay"):
                assert value == pytest.approx(known[key])


def test_all_go_down_on_the_default_objective(engine):
    """All first-order optimizers as lanes of one batch, then the two quasi-Newton methods."""
    settings = config.resolve(["size=32", "weights=random", "kernels=direct"])
    with engine.scope():
        posed = problem.load(settings, engine)
        noise = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
        lanes = optimizers.create(
            [chosen(name, lr=rate(name)) for name in FIRST_ORDER],
            engine, posed.objective, np.repeat(noise, len(FIRST_ORDER), axis=0),
        )  # fmt: skip
        for name, epoch, end in zip(FIRST_ORDER, lanes.advance(5), lanes.evaluate(), strict=True):
            assert min(end.loss, *(e.loss for e in epoch.steps)) < 0.999 * epoch.steps[0].loss, name
        assert ((lanes.images >= 0) & (lanes.images <= 1)).all()
        for name in ("lbfgs", "lbfgsb"):
            one = optimizers.create([chosen(name)], engine, posed.objective, noise)
            (epoch,) = one.advance(4)
            assert one.evaluate()[0].loss < 0.9 * epoch.steps[0].loss, name
            assert ((one.images >= 0) & (one.images <= 1)).all()


def rate(name):
    """A rate for random weights, whose losses are far from those the YAML's rates are for."""
    return 1e-8 if name == "sgd" else chosen(name).lr


def same(epochs, others):
    return all(a.evaluations == b.evaluations for a, b in zip(epochs, others, strict=True))


def test_first_order_state_continues_unnoticed(engine):
    lanes = [chosen(name) for name in FIRST_ORDER if name != "sgd"]
    lanes.append(chosen("sgd", lr=0.01, momentum=0.9, nesterov="true", decay=0.5, decay_steps=2))
    whole = on_valley(engine, *lanes)
    whole.advance(3)
    states = [whole.state(lane) for lane in range(len(lanes))]
    expected = whole.advance(3)
    rest = on_valley(engine, *lanes, seed=9)
    for lane, state in enumerate(states):
        rest.restore(lane, state)
    rest.warm_up()
    assert same(rest.advance(3), expected)
    np.testing.assert_array_equal(rest.images, whole.images)


@pytest.mark.parametrize(
    ("search", "box", "reevaluate"),
    [
        ("none", "false", "true"),  # as PyTorch's
        ("none", "true", "false"),
        ("strong_wolfe", "true", "false"),  # the default
        ("strong_wolfe", "false", "true"),
    ],
)
def test_lbfgs_state_continues_unnoticed(engine, search, box, reevaluate):
    lane = chosen("lbfgs", line_search=search, box=box, reevaluate=reevaluate, memory=3)
    whole = on_valley(engine, lane)
    whole.advance(5)
    state = whole.state(0)
    expected = whole.advance(4)
    rest = on_valley(engine, lane, seed=9)
    rest.restore(0, state)
    rest.warm_up()
    assert same(rest.advance(4), expected)
    np.testing.assert_array_equal(rest.images, whole.images)


@pytest.mark.parametrize("name", ALL)
def test_warm_up_and_evaluation_leave_no_trace(engine, name):
    if name not in ("adam", "sgd", "lbfgs", "lbfgsb"):
        pytest.skip("the same code as adam")
    cold, warm = on_valley(engine, chosen(name)), on_valley(engine, chosen(name))
    warm.warm_up()
    warm.evaluate()
    assert same(cold.advance(3), warm.advance(3))
    warm.evaluate()
    assert same(cold.advance(2), warm.advance(2))


def test_loss_of_a_step_is_that_before_its_update(engine):
    adam = on_valley(engine, chosen("adam"))
    before = adam.evaluate()[0].loss
    (epoch,) = adam.advance(2)
    assert epoch.steps[0].loss == before
    assert [e.number for e in epoch.steps] == [e.step for e in epoch.steps] == [1, 2]


def test_steps_leave_pixels_in_the_box_however_long(engine):
    lanes = [chosen(name, lr=1000) for name in FIRST_ORDER]
    pictures = on_valley(engine, *lanes)
    pictures.advance(3)
    assert ((pictures.images >= 0) & (pictures.images <= 1)).all()
    for name in ("lbfgs", "lbfgsb"):
        one = on_valley(engine, chosen(name))
        one.advance(15)
        assert ((one.images >= 0) & (one.images <= 1)).all()


def test_lanes_are_the_runs_they_stand_for(engine):
    settings = [chosen("adam", lr=0.02), chosen("adam", lr=0.1), chosen("sgd", lr=0.01)]
    starts = start(3)
    together = optimizers.create(settings, engine, valley(engine), starts).advance(10)
    for lane, one in enumerate(settings):
        (alone,) = optimizers.create(
            [one], engine, valley(engine), starts[lane : lane + 1]
        ).advance(10)
        losses = [e.loss for e in together[lane].steps]
        assert losses == pytest.approx([e.loss for e in alone.steps], rel=1e-5)


def test_quasi_newton_advances_one_picture_at_a_time(engine):
    with pytest.raises(
        SettingsError, match="lbfgs advances one picture at a time: use vectorize=1"
    ):
        on_valley(engine, chosen("lbfgs"), chosen("lbfgs"))


def test_a_lane_that_diverges_leaves_the_others_alone(engine):
    def terms(images, parameters):
        loss = ops.sum(ops.log(images - 0.2), axis=(1, 2, 3))
        return {"content": loss, "style": 0.0 * loss, "tv": 0.0 * loss}

    starts = np.full((2, SIDE, SIDE, 3), 0.9, np.float32)
    lanes = [chosen("sgd", lr=10), chosen("sgd", lr=1e-4)]
    wild, tame = optimizers.create(lanes, engine, Objective(terms, {}), starts).advance(4)
    assert not wild.steps[-1].is_finite
    assert all(e.is_finite for e in tame.steps)


def test_lbfgsb_counts_what_scipy_counts(engine):
    objective, first = valley(engine), start()
    evaluate = engine.compile_evaluation(objective.terms, objective.parameters)

    def value(x):
        image = ops.convert_to_tensor(x.reshape(first.shape), dtype=engine.dtype)
        values, gradient = evaluate(image)
        return float(values.loss[0]), ops.convert_to_numpy(gradient).ravel().astype(float)

    bounds = optimize.Bounds(np.zeros(first.size), np.ones(first.size))
    plain = optimize.minimize(
        value, first.ravel().astype(float), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxcor": 10, "maxiter": 12},
    )  # fmt: skip
    (epoch,) = on_valley(engine, chosen("lbfgsb")).advance(12)
    assert len(epoch.steps) == plain.nit == 12
    assert len(epoch.evaluations) == plain.nfev
    assert min(e.loss for e in epoch.evaluations) == pytest.approx(plain.fun, rel=1e-5)


@pytest.mark.parametrize("name", ["lbfgs", "lbfgsb"])
def test_quasi_newton_says_why_it_stops(engine, name):
    changes = {"ftol": 1e-3} if name == "lbfgsb" else {}
    one = on_valley(engine, chosen(name, **changes))
    epochs = [one.advance(50)[0] for _ in range(6)]
    ended = [epoch for epoch in epochs if epoch.finished]
    if name == "lbfgsb":
        assert ended and "CONVERGENCE" in ended[0].finished
    later = epochs[-1]
    assert not ended or later.steps == ()


def test_lbfgs_finds_the_minimum_of_a_quadratic(engine):
    """n-dimensional and convex: with its search it needs few steps, and beats every rate of sgd."""
    scale = np.linspace(1, 30, SIDE * SIDE * 3).reshape(SIDE, SIDE, 3).astype("float32")

    def terms(images, parameters):
        loss = ops.sum(parameters["scale"] * ops.square(images - 0.5), axis=(1, 2, 3))
        return {"content": loss, "style": 0.0 * loss, "tv": 0.0 * loss}

    one = LBFGS(
        engine, Objective(terms, {"scale": ops.convert_to_tensor(scale)}), start(),
        lr=1.0, memory=10, line_search="strong_wolfe", box=True, reevaluate=False,
    )  # fmt: skip
    (epoch,) = one.advance(25)
    assert one.evaluate()[0].loss < 1e-8 * epoch.steps[0].loss
    np.testing.assert_allclose(one.images, 0.5, atol=1e-3)


# ---- the line search by itself ------------------------------------------------------------------


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
