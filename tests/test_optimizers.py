"""All built-in optimizers: they go down, stay in the box, count, and continue unnoticed.

Everything here runs on whatever backend Keras was started with; `test_backends.py` repeats it on
the others. Optimizers from outside have a file of their own.
"""

import numpy as np
import pytest
from keras import ops
from keras.config import backend
from one_program import OneProgram
from scipy import optimize

from nstbench import engine as engines
from nstbench import outside
from nstbench.errors import SettingsError
from nstbench.optimizers import find, minimise, schedules
from nstbench.optimizers.lbfgs import LBFGS
from nstbench.settings import compose
from nstbench.transfer import problem
from nstbench.transfer.objective import Objective

ALL = compose.choices("optimizer")
KINDS = ["adam", "schedule_free_adamw", "lbfgs", "lbfgsb"]  # one of each adapter
# Each compiles the network's step: on other backends one of each is enough.
ON_THE_NETWORK = ALL if backend() == "tensorflow" else KINDS
SIDE = 6


@pytest.fixture(scope="module")
def engine(eager):
    """Compiled steps go down below, and keep the whole contract in `test_check.py`."""
    return eager


@pytest.fixture(scope="module")
def compiling():
    return engines.load("cpu")


@pytest.fixture(scope="module")
def one_program(compiling):
    return OneProgram(compiling)


def chosen(name, *overrides):
    """The settings of a run under `conf/optimizer/<name>.yaml`."""
    return compose.resolve([f"optimizer={name}", "epochs=2", "steps_per_epoch=5", *overrides])


def valley(engine):
    """Rosenbrock's valley along every row of pixels, with its minimum inside the box."""

    def terms(images, parameters):
        flat = ops.reshape(images, (images.shape[0], -1))
        bend = ops.sum(ops.square(flat[:, 1:] - ops.square(flat[:, :-1])), axis=1)
        pull = ops.sum(ops.square(flat - parameters["target"]), axis=1)
        return {"pull": pull, "bend": 10.0 * bend}

    target = np.random.default_rng(1).random((SIDE * SIDE * 3,), np.float32)
    return Objective(terms, {"target": ops.convert_to_tensor(target, dtype=engine.dtype)})


def start(seed=0):
    return np.random.default_rng(seed).random((SIDE, SIDE, 3), np.float32)


def descent(engine, settings, objective, first):
    schedule = schedules.build(settings.schedule, settings.epochs * settings.steps_per_epoch)
    optimizer = find.create(settings.optimizer, settings.lr, schedule, engine)
    return minimise.create(engine, objective, first, optimizer, settings.optimizer.box)


def on_valley(engine, settings, seed=0):
    return descent(engine, settings, valley(engine), start(seed))


@pytest.mark.parametrize("name", ALL)
def test_the_yaml_lists_every_hyperparameter_and_no_other(name):
    """So that nothing changes silently when a library's defaults do."""
    chosen_one = chosen(name).optimizer
    if chosen_one.target.startswith("scipy."):
        pytest.skip("SciPy's methods have no class")
    make = outside.locate(chosen_one.target)
    known = set(outside.parameters(make))
    ours = {"engine", "box", "schedule", "name", "lr", "learning_rate"}
    assert set(chosen_one.options) == known - ours


@pytest.mark.parametrize("name", ALL)
def test_values_are_keras_s_defaults_unless_the_yaml_says_why(name):
    chosen_one = chosen(name).optimizer
    if not chosen_one.target.startswith("keras."):
        pytest.skip("not Keras's")
    defaults = outside.parameters(outside.locate(chosen_one.target))
    for key, value in chosen_one.options.items():
        if "weight_decay" not in key:  # decay is meant for a network's weights
            assert value == defaults[key] or value == pytest.approx(defaults[key]), key


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_THE_NETWORK)
def test_every_one_goes_down_on_the_default_objective(compiling, one_program, small_problem, name):
    engine = compiling if name == "adam" else one_program
    rate = ["lr=1e-8"] if name == "sgd" else []  # random weights: losses far from the YAML's
    noise = np.random.default_rng(0).random((32, 32, 3), np.float32)
    with compiling.scope():
        one = descent(engine, chosen(name, *rate), small_problem, noise)
        before, epoch = one.evaluate(), one.advance(5)
        lowest = min(e.loss for e in (*epoch.evaluations, one.evaluate()))
        one.close()
    assert lowest < (0.9 if "lbfgs" in name else 0.999) * before.loss
    assert ((one.image >= 0) & (one.image <= 1)).all()


@pytest.fixture(scope="module")
def small_problem(compiling):
    with compiling.scope():
        return problem.load(
            chosen("adam", "size=32", "weights=random", "kernels=direct"), compiling
        ).objective


RESUMABLE = [name for name in ALL if name != "lbfgsb"]


@pytest.mark.parametrize("name", RESUMABLE)
def test_state_continues_unnoticed(engine, name):
    check_continues(engine, chosen(name))


@pytest.mark.parametrize(
    "overrides",
    [
        ("optimizer=sgd", "lr=0.01", "optimizer.momentum=0.9", "optimizer.nesterov=true"),
        ("optimizer=adam", "schedule=cosine"),
        ("optimizer=lbfgs", "schedule=exponential", "optimizer.line_search=none"),
        # As PyTorch's.
        ("optimizer=lbfgs", "optimizer.line_search=none", "optimizer.box=false",
         "optimizer.reevaluate=true", "optimizer.memory=3"),
        ("optimizer=lbfgs", "optimizer.box=false", "optimizer.reevaluate=true"),
    ],
)  # fmt: skip
def test_state_with_other_settings_continues_unnoticed(engine, overrides):
    check_continues(engine, compose.resolve([*overrides, "epochs=2", "steps_per_epoch=5"]))


def check_continues(engine, settings):
    whole = on_valley(engine, settings)
    whole.advance(5)
    state = {name: np.array(value) for name, value in whole.state().items()}
    expected = whole.advance(4)
    rest = on_valley(engine, settings, seed=9)
    rest.restore(state)
    rest.warm_up()
    assert rest.advance(4) == expected
    np.testing.assert_array_equal(rest.image, whole.image)


@pytest.mark.parametrize("name", KINDS)
def test_warm_up_and_evaluation_leave_no_trace(engine, name):
    cold, warm = on_valley(engine, chosen(name)), on_valley(engine, chosen(name))
    warm.warm_up()
    warm.evaluate()
    assert cold.advance(3) == warm.advance(3)
    warm.evaluate()
    assert cold.advance(2) == warm.advance(2)
    cold.close(), warm.close()


def test_loss_of_a_step_is_that_before_its_update(engine):
    adam = on_valley(engine, chosen("adam"))
    before = adam.evaluate().loss
    epoch = adam.advance(2)
    assert epoch.steps[0].loss == before
    assert [e.number for e in epoch.steps] == [e.step for e in epoch.steps] == [1, 2]


def test_the_loss_is_the_sum_of_its_terms(engine):
    epoch = on_valley(engine, chosen("adam")).advance(2)
    for evaluation in epoch.steps:
        assert set(evaluation.terms) == {"pull", "bend"}
        assert evaluation.loss == pytest.approx(sum(evaluation.terms.values()), rel=1e-6)


def test_schedule_free_is_measured_at_its_average(engine):
    """Where gradients are taken is not where the method says that its loss is to be read."""
    settings = chosen("schedule_free_adamw", "lr=0.1")
    one = on_valley(engine, settings)
    one.advance(5)
    fast = ops.convert_to_numpy(one._image.value)
    assert np.abs(one.image - fast).max() > 1e-3
    at_average = on_valley(engine, chosen("adam"))
    at_average._image.assign(one.image)
    assert one.evaluate().loss == pytest.approx(at_average.evaluate().loss, rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_steps_leave_pixels_in_the_box_however_long(engine, name):
    rate = [] if name == "lbfgsb" else ["lr=1000"]
    one = on_valley(engine, chosen(name, *rate))
    one.advance(3)
    one.close()
    inside = (one.image >= 0) & (one.image <= 1)
    assert (inside | ~np.isfinite(one.image)).all()


def test_a_step_that_asks_for_evaluations_ends_where_one_is_not_finite(engine):
    def terms(images, parameters):
        return {"log": ops.sum(ops.log(images - 0.2), axis=(1, 2, 3))}

    first = np.full((SIDE, SIDE, 3), 0.9, np.float32)
    epoch = descent(engine, chosen("lbfgs", "lr=10"), Objective(terms, {}), first).advance(9)
    assert epoch.finished == minimise.NOT_FINITE
    assert [e.is_finite for e in epoch.evaluations].count(False) == 1
    assert not epoch.evaluations[-1].is_finite
    epoch = descent(engine, chosen("sgd", "lr=10"), Objective(terms, {}), first).advance(9)
    assert len(epoch.steps) == 9 and not all(e.is_finite for e in epoch.steps)


def test_lbfgsb_counts_what_scipy_counts(engine):
    objective, first = valley(engine), start()
    evaluate = engine.compile_evaluation(objective.terms, objective.parameters)

    def value(x):
        image = ops.convert_to_tensor(x.reshape(1, *first.shape), dtype=engine.dtype)
        values, gradient = evaluate(image)
        return float(values.loss[0]), ops.convert_to_numpy(gradient).ravel().astype(float)

    bounds = optimize.Bounds(np.zeros(first.size), np.ones(first.size))
    plain = optimize.minimize(
        value, first.ravel().astype(float), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxcor": 10, "maxiter": 12},
    )  # fmt: skip
    one = on_valley(engine, chosen("lbfgsb"))
    epoch = one.advance(12)
    one.close()
    assert len(epoch.steps) == plain.nit == 12
    assert len(epoch.evaluations) == plain.nfev
    assert min(e.loss for e in epoch.evaluations) == pytest.approx(plain.fun, rel=1e-5)


def test_lbfgsb_says_why_it_stops(engine):
    one = on_valley(engine, chosen("lbfgsb", "optimizer.ftol=1e-3"))
    epochs = [one.advance(50) for _ in range(6)]
    assert "CONVERGENCE" in next(epoch.finished for epoch in epochs if epoch.finished)
    assert epochs[-1].steps == ()


def bowl():
    """n-dimensional and convex."""
    scale = np.linspace(1, 30, SIDE * SIDE * 3).reshape(SIDE, SIDE, 3).astype("float32")

    def terms(images, parameters):
        loss = ops.sum(parameters["scale"] * ops.square(images - 0.5), axis=(1, 2, 3))
        return {"bowl": loss + 1.0}

    return Objective(terms, {"scale": ops.convert_to_tensor(scale)})


def test_lbfgs_finds_the_minimum_of_a_quadratic(engine):
    """With its search it needs few steps, and beats every rate of sgd."""
    one = minimise.create(engine, bowl(), start(), LBFGS(engine))
    epoch = one.advance(25)
    assert one.evaluate().loss - 1 < 1e-6 * epoch.steps[0].loss
    np.testing.assert_allclose(one.image, 0.5, atol=1e-2)


def test_lbfgs_that_can_go_no_lower_starts_afresh_once_and_ends(engine):
    """Without an end it would repeat one search for the rest of its budget (one ulp is enough)."""
    one = minimise.create(engine, bowl(), start(), LBFGS(engine))
    epochs = [one.advance(50) for _ in range(4)]
    ended = next(epoch for epoch in epochs if epoch.finished)
    assert ended.finished in ("no further decrease", "no descent direction is left")
    assert epochs[-1].steps == ()


@pytest.mark.parametrize("setting", ["optimizer.line_search=exact", "optimizer.memory=0"])
def test_what_lbfgs_cannot_use_is_told(engine, setting):
    with pytest.raises(SettingsError):
        on_valley(engine, chosen("lbfgs", setting))
