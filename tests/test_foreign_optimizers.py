"""Optimizers of other libraries do under the harness what they do in their library's own loop.

What belongs to another backend is run on it by `test_backends.py`.
"""

import gc
import importlib.util
import inspect
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from nstbench import check
from nstbench import engine as engines
from nstbench.errors import NstbenchError, SettingsError
from nstbench.optimizers import find, minimise, schedules
from nstbench.optimizers.contract import Evaluation
from nstbench.transfer.objective import Objective

keras = importlib.import_module("keras")
ops = keras.ops

BACKEND = keras.backend.backend()
HERE = Path(__file__)
SHAPE = (1, 4, 4, 3)
SCHEDULES = sorted((HERE.parent.parent / "conf" / "schedule").glob("*.yaml"))

on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="the same on every backend")
on_jax = pytest.mark.skipif(BACKEND != "jax", reason="needs KERAS_BACKEND=jax")
on_torch = pytest.mark.skipif(BACKEND != "torch", reason="needs KERAS_BACKEND=torch")


class Bowl:
    """A quadratic with a bend, in NumPy's float64; it counts who asks."""

    def __init__(self, dtype="float32"):
        random = np.random.default_rng(0)
        self.dtype, size = dtype, int(np.prod(SHAPE))
        self.target, self.scale = random.random(size), 1 + 9 * random.random(size)
        self.start = random.uniform(0.2, 0.8, SHAPE)
        self.points = []

    def value(self, x):
        off, bend = x - self.target, x[1:] - x[:-1] ** 2
        return float((self.scale * off * off).sum() + (bend * bend).sum())

    def gradient(self, x):
        off, bend = x - self.target, x[1:] - x[:-1] ** 2
        gradient = 2 * self.scale * off
        gradient[1:] += 2 * bend
        gradient[:-1] -= 4 * bend * x[:-1]
        return gradient

    def both(self, x):
        self.points.append(np.array(x, np.float64))
        return self.value(self.points[-1]), self.gradient(self.points[-1])

    def evaluate(self, x):
        """The contract's `evaluate`."""
        assert keras.backend.standardize_dtype(x.dtype) == self.dtype
        loss, gradient = self.both(vector(x))
        evaluation = Evaluation(len(self.points), 0, loss, {}, float(np.linalg.norm(gradient)))
        return evaluation, self.tensor(gradient.reshape(SHAPE))

    def tensor(self, array):
        return ops.convert_to_tensor(array, dtype=self.dtype)


def vector(x):
    return np.array(ops.convert_to_numpy(x), np.float64).ravel()


def chosen(target, box=True, **options):
    return SimpleNamespace(target=target, box=box, options=options)


def create(target, lr=None, schedule=None, box=True, **options):
    return find.create(chosen(target, box, **options), lr, schedule, engines.load("cpu"))


def follow(optimizer, bowl, steps, box=False, cut=None, again=None):
    """(points after each step, evaluations after each, why it ended) of the optimizer's own loop.

    At step `cut` the state goes through a file's arrays into the optimizer `again`.
    """
    x, why, points, counts = bowl.tensor(bowl.start), None, [], []
    state = optimizer.init(x)
    while why is None and len(points) < steps:
        if len(points) == cut:
            state = {name: np.array(ops.convert_to_numpy(v)) for name, v in state.items()}
            optimizer = again
        x, state, why = optimizer.step(x, state, bowl.evaluate)
        x = ops.clip(x, 0.0, 1.0) if box else x
        points.append(vector(x))
        counts.append(len(bowl.points))
    return np.array(points), counts, why


# ---- SciPy -------------------------------------------------------------------------------------

SMOOTH = ("CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP", "Newton-CG", "trust-constr")
FREE = ("Nelder-Mead", "Powell", "COBYLA", "COBYQA")


def plain_scipy(method, bowl, steps, **settings):
    """What SciPy's own call goes through: points and evaluations at each iteration's end."""
    from scipy import optimize

    points, counts = [], []

    def iterated(x, *ignored):
        if counts and counts[-1] == len(bowl.points):  # an iteration without an evaluation
            points[-1] = np.array(x)
            return
        points.append(np.array(x))
        counts.append(len(bowl.points))

    def value(x):
        return bowl.both(x)[0]

    function = bowl.both if method in SMOOTH else value
    result = optimize.minimize(
        function, bowl.start.ravel(), jac=method in SMOOTH, method=method, callback=iterated,
        options={} if method == "TNC" else {"maxiter": steps}, **settings,
    )  # fmt: skip
    return points, counts, result


@on_tensorflow
@pytest.mark.parametrize("method", [*SMOOTH, *FREE])
def test_scipy_goes_the_way_of_its_own_call(method):
    steps = 60 if method == "COBYLA" else 12
    expected, counts, _ = plain_scipy(method, Bowl(), steps)
    points, made, _ = follow(create(f"scipy.{method}", box=False), Bowl("float64"), len(expected))
    common = len(expected) - 1  # SciPy's own end falls into its last step
    assert common > 1 or method == "Powell"
    np.testing.assert_array_equal(points[:common], expected[:common])
    assert made[:common] == counts[:common]


@on_tensorflow
def test_scipy_ends_as_its_own_call_does():
    expected, counts, result = plain_scipy("L-BFGS-B", Bowl(), 10**6)
    points, made, why = follow(create("scipy.L-BFGS-B", box=False), Bowl("float64"), 10**6)
    assert why == result.message
    np.testing.assert_array_equal(points[-1], result.x)
    assert made[-1] == result.nfev


@on_tensorflow
def test_bounded_methods_get_the_box():
    from scipy import optimize

    outward = Bowl()
    outward.target = outward.target * 3 - 1  # many minima beyond a bound
    box = optimize.Bounds(np.zeros(48), np.ones(48))
    expected, counts, _ = plain_scipy("L-BFGS-B", outward, 12, bounds=box)
    bowl = Bowl("float64")
    bowl.target = outward.target
    points, made, _ = follow(create("scipy.L-BFGS-B"), bowl, 12)
    np.testing.assert_array_equal(points, expected)
    assert made == counts
    assert (points[-1] == 0).any() and (points[-1] == 1).any()


@on_tensorflow
@pytest.mark.parametrize("method", ["CG", "BFGS", "Newton-CG"])
def test_methods_without_bounds_are_evaluated_inside_the_box_and_go_down(method):
    bowl = Bowl("float64")
    bowl.target = bowl.target * 3 - 1
    points, _, _ = follow(create(f"scipy.{method}"), bowl, 15)
    seen = np.array(bowl.points)
    assert seen.min() >= 0 and seen.max() <= 1
    losses = [bowl.value(x) for x in [bowl.start.ravel(), *points]]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.8 * losses[0]


@on_tensorflow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scipy_is_evaluated_in_the_engines_type(dtype):
    optimizer, bowl = create("scipy.CG"), Bowl(dtype)
    x, _, _ = optimizer.step(bowl.tensor(bowl.start), optimizer.init(bowl.tensor(bowl.start)),
                             bowl.evaluate)  # fmt: skip
    assert keras.backend.standardize_dtype(x.dtype) == dtype


OWN = '''
def descends(fun, x0, args=(), jac=None, step_size=0.01, callback=None, momentum=0.0):
    x, speed = x0, 0 * x0
    while True:
        fun(x)
        speed = momentum * speed - step_size * jac(x)
        x = x + speed
        callback(x)

def wanders(fun, x0, args, step_size=0.1, **options):
    """Value only; never calls back."""
    best = fun(x0)
    for i in range(len(x0)):
        x = x0.copy()
        x[i] += step_size
        if fun(x) < best:
            best, x0 = fun(x), x
    return x0

def raises(fun, x0, args, **options):
    fun(x0)
    raise ValueError("no\\nway")

def returns(fun, x0, args, **options):
    return x0
'''


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


@on_tensorflow
def test_a_callable_with_callback_steps_from_callback_to_callback(own):
    bowl = Bowl("float64")
    points, made, why = follow(create(f"{own}:descends", 0.02, momentum=0.5, box=False), bowl, 10)
    assert made == list(range(1, 11)) and why is None
    x, speed = bowl.start.ravel(), 0
    for point in points:
        speed = 0.5 * speed - 0.02 * bowl.gradient(x)
        x = x + speed
        np.testing.assert_array_equal(point, x)


@on_tensorflow
def test_a_callable_without_callback_steps_with_every_evaluation_and_shows_its_best(own):
    bowl = Bowl("float64")
    points, made, why = follow(create(f"{own}:wanders"), bowl, 10**3)
    losses = [bowl.value(x) for x in bowl.points]
    assert made == list(range(1, len(losses) + 1))
    assert [bowl.value(x) for x in points] == list(np.minimum.accumulate(losses))
    assert "has returned" in why


@on_tensorflow
def test_a_callable_that_raises_or_does_nothing_is_told_in_one_line(own):
    with pytest.raises(NstbenchError, match="raises raised ValueError: no way"):
        follow(create(f"{own}:raises"), Bowl(), 5)
    with pytest.raises(NstbenchError, match="returns has returned without an evaluation"):
        follow(create(f"{own}:returns"), Bowl(), 5)


@on_tensorflow
def test_no_thread_outlives_its_run(own):
    before = threading.active_count()
    running = [create("scipy.L-BFGS-B"), create("scipy.TNC"), create(f"{own}:descends")]
    for optimizer in running:
        follow(optimizer, Bowl(), 2)
    assert threading.active_count() == before + 3
    threads = [thread for thread in threading.enumerate() if "_talk" in thread.name]
    running[0].close()
    del running, optimizer
    gc.collect()
    for thread in threads:
        thread.join(5)
    assert threading.active_count() == before

    class Stopped(BaseException):
        pass

    def stops(x):
        raise Stopped

    optimizer, x = create("scipy.CG"), Bowl().tensor(Bowl().start)
    with pytest.raises(Stopped):
        optimizer.step(x, optimizer.init(x), stops)
    assert threading.active_count() == before


@on_tensorflow
def test_a_loss_that_is_not_finite_ends_the_method():
    optimizer, bowl = create("scipy.CG"), Bowl()
    bowl.value = lambda x: float("nan")
    x = bowl.tensor(bowl.start)
    _, _, why = optimizer.step(x, optimizer.init(x), bowl.evaluate)
    assert why == "the loss is not finite"


@on_tensorflow
def test_a_process_ends_though_a_method_still_waits():
    code = (
        "import nstbench.engine, numpy as np, keras\n"
        "from nstbench.optimizers import scipy_adapter\n"
        "from nstbench.optimizers.contract import Evaluation\n"
        "o = scipy_adapter.from_method('scipy.TNC', {}, True)\n"
        "x = keras.ops.ones((1, 2, 2, 3)) / 2\n"
        "e = lambda x: (Evaluation(1, 1, float(keras.ops.sum(x * x)), {}, 1.0), 2 * x)\n"
        "o.step(x, o.init(x), e)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@on_tensorflow
def test_a_method_that_needs_more_memory_than_there_is_says_so():
    with pytest.raises(SettingsError, match="300000 x 300000 numbers: 671 GiB"):
        create("scipy.BFGS").init(np.zeros((1, 1, 100_000, 3), np.float32))


# ---- PyTorch -----------------------------------------------------------------------------------

TORCH = (
    *("Adafactor", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "LBFGS", "NAdam"),
    *("RAdam", "RMSprop", "Rprop", "SGD"),
)


def plain_torch(name, bowl, steps, rate, box):
    import torch

    image = torch.tensor(bowl.start, dtype=torch.float32, requires_grad=True)
    optimizer = getattr(torch.optim, name)([image], lr=rate(0))

    def closure():
        loss, gradient = bowl.both(vector(image))
        image.grad = torch.tensor(gradient.reshape(SHAPE), dtype=torch.float32)
        return torch.tensor(loss, dtype=torch.float32)

    points = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step(closure)
        if box:
            image.data.clamp_(0, 1)
        points.append(vector(image))
    return np.array(points)


@on_torch
@pytest.mark.parametrize("name", TORCH)
def test_torch_goes_the_way_of_its_own_loop(name):
    bowl, other = Bowl(), Bowl()
    optimizer = create(f"torch.optim.{name}", 0.02, lambda step: 0.9**step)
    points, _, _ = follow(optimizer, bowl, 8, box=True)
    expected = plain_torch(name, other, 8, lambda step: 0.02 * 0.9**step, True)
    np.testing.assert_array_equal(points, expected)
    np.testing.assert_array_equal(bowl.points, other.points)


@on_torch
@pytest.mark.parametrize("name", TORCH)
def test_torch_continues_exactly(name):
    def make():
        return create(f"torch.optim.{name}", 0.02, lambda step: 0.9**step)

    undisturbed, _, _ = follow(make(), Bowl(), 9, box=True)
    continued, _, _ = follow(make(), Bowl(), 9, box=True, cut=5, again=make())
    np.testing.assert_array_equal(continued, undisturbed)


@on_torch
def test_every_class_of_torch_is_tested_or_refused_in_one_line():
    import torch

    for name in set(dir(torch.optim)) - {*TORCH, "Optimizer"}:
        if inspect.isclass(getattr(torch.optim, name)):
            with pytest.raises(SettingsError, match=f"^torch.optim.{name}: "):
                create(f"torch.optim.{name}", 0.02)


@on_torch
def test_a_schedule_free_method_is_evaluated_at_its_own_point(tmp_path):
    (tmp_path / "free.py").write_text(
        "import torch\n"
        "class Free(torch.optim.SGD):\n"
        "    def train(self): self._move(+0.01)\n"
        "    def eval(self): self._move(-0.01)\n"
        "    def _move(self, by):\n"
        "        for p in self.param_groups[0]['params']: p.data.add_(by)\n"
    )
    bowl = Bowl()
    points, _, _ = follow(create(f"{tmp_path}/free.py:Free", 0.01), bowl, 3)
    np.testing.assert_allclose(bowl.points[1], points[0] + 0.01, atol=1e-6)


# ---- optax -------------------------------------------------------------------------------------


def valley(engine):
    """Loss terms as an engine differentiates them."""
    bowl = Bowl()
    target, scale = bowl.tensor(bowl.target), bowl.tensor(bowl.scale)

    def terms(images, parameters):
        flat = ops.reshape(images, (images.shape[0], -1))
        bend = ops.square(flat[:, 1:] - ops.square(flat[:, :-1]))
        off = parameters["scale"] * ops.square(flat - parameters["target"])
        return {"pull": ops.sum(off, axis=1), "bend": ops.sum(bend, axis=1)}

    return Objective(terms, {"target": target, "scale": scale})


def minimised(target, lr=None, schedule=None, steps=10, cut=None, **options):
    """A run under the real harness, interrupted after `cut` steps: epochs and the last image."""
    engine = engines.load("cpu")

    def begin():
        made = find.create(chosen(target, **options), lr, schedule, engine)
        start = Bowl().start[0].astype(np.float32)
        begun = minimise.create(engine, valley(engine), start, made)
        begun.warm_up()
        return begun

    run, epochs = begin(), []
    for step in range(steps):
        if step == cut:
            state = run.state()
            run = begin()
            run.restore(state)
        epochs.append(run.advance(1))
    return epochs, run.image


def plain_optax(transformation, steps):
    """optax's own loop with its own function, clipped after each step."""
    import jax
    import jax.numpy as jnp
    import optax

    terms, parameters = valley(None).terms, valley(None).parameters

    def loss(x):
        return sum(term[0] for term in terms(x[None], parameters).values())

    @jax.jit
    def step(x, state):
        value, gradient = jax.value_and_grad(loss)(x)
        updates, state = optax.with_extra_args_support(transformation).update(
            gradient, state, x, value=value, grad=gradient, value_fn=loss
        )
        return optax.apply_updates(x, updates), state

    x = jnp.asarray(Bowl().start[0], jnp.float32)
    state, made, moved = transformation.init(x), 0, True
    for _ in range(steps):
        made += moved or optax.tree.get(state, "value") is None
        new, state = step(x, state)
        made += int(optax.tree.get(state, "num_linesearch_steps", 0))
        x = jnp.clip(new, 0.0, 1.0)
        moved = not np.array_equal(new, x)
    return np.asarray(x), made


OPTAX = ("adabelief", "adam", "lamb", "lion", "radam", "sgd", "polyak_sgd", "yogi")


@on_jax
@pytest.mark.parametrize("name", OPTAX)
def test_optax_goes_the_way_of_its_own_loop(name):
    import optax

    epochs, image = minimised(f"optax.{name}", 0.02)
    expected, made = plain_optax(getattr(optax, name)(0.02), 10)
    np.testing.assert_allclose(image, expected, atol=2e-5)  # RAdam's warm-up magnifies noise
    assert sum(len(epoch.evaluations) for epoch in epochs) == made == 10


@on_jax
def test_optax_line_searches_evaluate_as_often_as_in_their_own_loop():
    import optax

    epochs, image = minimised("optax.lbfgs")
    expected, made = plain_optax(optax.lbfgs(), 10)
    np.testing.assert_allclose(image, expected, atol=1e-5)
    assert sum(len(epoch.evaluations) for epoch in epochs) == made > 10
    losses = [epoch.steps[0].loss for epoch in epochs]
    assert losses == sorted(losses, reverse=True)


SEARCH = """
import optax

def kept(learning_rate):
    search = optax.scale_by_backtracking_linesearch(15, store_grad=True)
    return optax.chain(optax.sgd(learning_rate), search)

def forgotten(learning_rate):
    return optax.chain(optax.sgd(learning_rate), optax.scale_by_backtracking_linesearch(15))

def noisy(learning_rate):
    return optax.noisy_sgd(learning_rate, key=3)

def demanding(learning_rate):
    def update(updates, state, params, *, hessian, **extra):
        return updates, state
    return optax.GradientTransformationExtraArgs(lambda params: (), update)
"""


@pytest.fixture
def search(tmp_path):
    path = tmp_path / "search.py"
    path.write_text(SEARCH)
    return path


@on_jax
@pytest.mark.parametrize("name", ["kept", "forgotten", "noisy"])
def test_optax_chains_from_a_file_continue_exactly(search, name):
    epochs, image = minimised(f"{search}:{name}", 0.02)
    again, same = minimised(f"{search}:{name}", 0.02, cut=4)
    np.testing.assert_array_equal(image, same)
    assert epochs == again


@on_jax
@pytest.mark.parametrize("name", ["adabelief", "lbfgs", "polyak_sgd"])
def test_optax_continues_exactly(name):
    def schedule(step):
        return 0.9**step

    undisturbed = minimised(f"optax.{name}", 0.5, schedule)
    continued = minimised(f"optax.{name}", 0.5, schedule, cut=5)
    assert continued[0] == undisturbed[0]
    np.testing.assert_array_equal(continued[1], undisturbed[1])


@on_jax
def test_what_optax_asks_for_in_vain_is_told_in_one_line(search):
    with pytest.raises(SettingsError, match="demanding: TypeError: .*'hessian'") as caught:
        create(f"{search}:demanding", 0.1)
    assert "\n" not in str(caught.value)


@on_jax
def test_a_state_keeps_each_leafs_own_type():
    import jax.numpy as jnp

    made = create("optax.adam", 0.1, b1=0.8)
    made.build([keras.Variable(np.zeros((2, 2, 3), np.float32))])
    assert {str(v.dtype) for v in made.variables} == {"int32", "float32"}
    assert all(jnp.asarray(v.value).dtype == v.dtype for v in made.variables)


# ---- the contract, as `nstbench check` reads it ------------------------------------------------

KINDS = {
    "tensorflow": {"scipy.CG": None, "scipy.TNC": None},
    "jax": {"optax.adabelief": 0.02, "optax.lbfgs": None},
    "torch": {"torch.optim.RAdam": 0.02, "torch.optim.LBFGS": 1.0},
}


@pytest.mark.parametrize("target", KINDS[BACKEND])
def test_every_kind_keeps_the_contract(target):
    engine = engines.load("cpu")

    def begin():
        counting = check.Counting(engine)
        made = find.create(chosen(target), KINDS[BACKEND][target], None, counting)
        start = Bowl().start[0].astype(np.float32)
        begun = minimise.create(counting, valley(engine), start, made)
        begun.warm_up()
        counting.calls = 0
        return begun, counting

    verdicts = {verdict.clause: verdict for verdict in check.clauses(begin, 8, True)}
    assert not [verdict for verdict in verdicts.values() if verdict.kept is False]
    continues = verdicts["continues exactly from a checkpoint"].kept
    assert continues is (None if target.startswith("scipy.") else True)


# ---- schedules ---------------------------------------------------------------------------------


def schedule_of(target, total=200, **options):
    return schedules.build(SimpleNamespace(name="x", target=target, options=options), total)


@pytest.mark.parametrize("path", SCHEDULES, ids=[path.stem for path in SCHEDULES])
def test_built_in_schedules_start_with_the_run_and_stretch_with_it(path):
    options = yaml.safe_load(path.read_text())
    target = options.pop("target")
    short, long = (schedule_of(target, total, **options) for total in (100, 1000))
    if path.stem == "constant":
        assert short is None
        return
    steps = [*range(0, 100, 5), 99]
    at = {step: float(short(ops.convert_to_tensor(step, dtype="int32"))) for step in steps}
    assert max(at.values()) == pytest.approx(1.0) and at[99] < 0.15
    assert at[0] == pytest.approx(0.1 if "warmup" in path.stem else 1.0)
    for step in range(10, 90, 10):
        assert at[step] == pytest.approx(float(long(10 * step)), abs=0.01)


def test_a_length_is_a_share_or_a_number_of_steps():
    fall = "keras.optimizers.schedules.ExponentialDecay"
    same = [
        schedule_of(fall, 200, decay_steps=steps, decay_rate=0.5, lengths=["decay_steps"])
        for steps in (0.25, 50)
    ]
    for schedule in same:
        assert float(schedule(100)) == pytest.approx(0.25)
    for wrong in (0.0, 1.5, -1, True, "half"):
        with pytest.raises(SettingsError, match=r"schedule.decay_steps=.* must be a share"):
            schedule_of(fall, 200, decay_steps=wrong, decay_rate=0.5, lengths=["decay_steps"])


RATES = """
def halves(step, every=10):
    return 1.0 if step < every else 0.5

def falls(low=0.1, total_steps=None):
    return lambda step: 1.0 if step < total_steps / 2 else low

class Flat:
    def __init__(self, height=1.0):
        self.height = height
    def __call__(self, step):
        return self.height

def negative(step):
    return -1.0
"""


@pytest.fixture
def rates(tmp_path):
    path = tmp_path / "rates.py"
    path.write_text(RATES)
    return path


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("halves", {"every": 0.5, "lengths": ["every"]}, (1.0, 0.5)),
        ("falls", {"low": 0.25}, (1.0, 0.25)),
        ("Flat", {"height": 0.75}, (0.75, 0.75)),
    ],
)
def test_a_schedule_from_outside_needs_no_framework(rates, name, options, expected):
    schedule = schedule_of(f"{rates}:{name}", 20, **options)
    steps = [ops.convert_to_tensor(step, dtype="int32") for step in (9, 10)]
    assert tuple(float(schedule(step)) for step in steps) == expected
    assert tuple(float(schedule(step)) for step in (9, 10)) == expected


def test_a_wrong_schedule_is_told_in_one_line(rates):
    with pytest.raises(SettingsError, match="did you mean every"):
        schedule_of(f"{rates}:halves", evry=3)
    with pytest.raises(SettingsError, match="must be a number from 0 on"):
        schedule_of(f"{rates}:negative")


DESCENTS = {
    "tensorflow": ["keras.optimizers.SGD"],
    "jax": ["keras.optimizers.SGD", "optax.sgd"],
    "torch": ["keras.optimizers.SGD", "torch.optim.SGD"],
}


@pytest.mark.parametrize("target", [*DESCENTS[BACKEND], "own"])
def test_the_rate_of_every_kind_follows_the_schedule(target, tmp_path, rates):
    if target == "own":
        (tmp_path / "mine.py").write_text(DESCENT)
        target = f"{tmp_path}/mine.py:Descent"
    schedule = schedule_of(f"{rates}:halves", 10, every=3)
    _, image = minimised(target, 0.005, schedule, steps=6)
    bowl, x = Bowl(), Bowl().start.ravel()
    for step in range(6):
        x = np.clip(x - 0.005 * (1.0 if step < 3 else 0.5) * bowl.gradient(x), 0, 1)
    np.testing.assert_allclose(image.ravel(), x, atol=1e-5)


# ---- what a target is --------------------------------------------------------------------------

DESCENT = """
class Descent:
    resumable = True

    def __init__(self, lr=0.1):
        self.lr = lr

    def init(self, x):
        return {}

    def step(self, x, state, evaluate):
        _, gradient = evaluate(x)
        return x - self.lr * gradient, state, None

class Fixed(Descent):
    def __init__(self, lr=0.1):
        self._rate = lr

def three():
    return 3

def breaks(lr):
    raise RuntimeError("first\\nsecond")
"""

MINE = '''
import keras
from keras import ops

class Heavy(keras.optimizers.Optimizer):
    """Polyak's heavy ball."""

    def __init__(self, learning_rate=0.1, beta=0.9, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta = beta

    def build(self, variables):
        super().build(variables)
        self.speed = self.add_optimizer_variables(variables, "speed")

    def update_step(self, gradient, variable, learning_rate):
        speed = self.speed[self._get_variable_index(variable)]
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign(speed, self.beta * speed - rate * gradient)
        self.assign_add(variable, speed)
'''


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(DESCENT + MINE)
    return path


def test_an_own_keras_class_is_its_rule_in_numpy(mine):
    _, image = minimised(f"{mine}:Heavy", 0.005, beta=0.7, steps=10)
    bowl, x, speed = Bowl(), Bowl().start.ravel(), 0
    for _ in range(10):
        speed = 0.7 * speed - 0.005 * bowl.gradient(x)
        x = np.clip(x + speed, 0, 1)
    np.testing.assert_allclose(image.ravel(), x, atol=1e-5)


@on_tensorflow
@pytest.mark.parametrize(
    ("target", "lr", "options", "told"),
    [
        ("keras.optimizers.Adam", 0.1, {"beta1": 0.5}, "unknown option .* did you mean beta_1"),
        ("MINE:Heavy", 0.1, {"clip_norm": 1.0}, "did you mean clipnorm"),
        ("MINE:three", None, {}, "is no optimizer"),
        ("MINE:breaks", 0.1, {}, "breaks: RuntimeError: first$"),
        ("MINE:breaks", None, {}, "needs a rate: lr="),
        ("MINE:Hevy", 0.1, {}, "did you mean Heavy"),
        ("keras.layers.Dense", None, {"units": 3}, "is no optimizer"),
        ("math.pi", None, {}, "is a float, not an optimizer"),
        ("no_such_package.X", None, {}, "the package no_such_package is not installed"),
        ("scipy.CG", 0.1, {}, "scipy.CG has no rate"),
        ("scipy.CG", None, {"c3": 1.0}, "did you mean c2"),
        ("scipy.CGG", None, {}, "did you mean cg"),
        ("scipy.trust-exact", None, {}, "needs second derivatives"),
        ("optax.adam", 0.1, {}, "optax needs KERAS_BACKEND=jax"),
        ("torch.optim.Adam", 0.1, {}, "needs KERAS_BACKEND=torch"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(mine, target, lr, options, told):
    with pytest.raises(SettingsError, match=told) as caught:
        create(target.replace("MINE", str(mine)), lr, **options)
    assert "\n" not in str(caught.value)


@on_tensorflow
def test_a_schedule_needs_a_rate_that_can_change(mine, own):
    for target, lr in [
        ("scipy.CG", None), (f"{mine}:Fixed", 0.1), (f"{own}:descends", 0.1),
        ("keras.optimizers.Adam", None),
    ]:  # fmt: skip
        with pytest.raises(SettingsError, match="schedule"):
            create(target, lr, lambda step: 1.0)


@on_tensorflow
def test_what_is_looked_up_names_the_rate_and_the_defaults(mine, own):
    descends, heavy = find.look_up(f"{own}:descends"), find.look_up(f"{mine}:Heavy")
    assert descends.rate == "step_size"
    assert descends.known == {"step_size": 0.01, "momentum": 0.0}
    assert heavy.rate == "learning_rate"
    assert (heavy.known["learning_rate"], heavy.known["beta"]) == (0.1, 0.9)
    assert "clipnorm" in heavy.known and "name" not in heavy.known
    bounded = find.look_up("scipy.L-BFGS-B")
    assert (bounded.rate, bounded.known["maxcor"]) == (None, 10)
    assert not {"maxiter", "maxfun", "disp", "callback"} & set(bounded.known)
