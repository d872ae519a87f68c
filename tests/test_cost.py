"""`python -m nstbench cost`: the decision rule by simulation, the instruments on toys, the command.

The network stands aside: a toy objective on small images takes its place.
"""

import csv
import json
import math
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from keras import ops

from nstbench import arguments, cli
from nstbench import engine as engines
from nstbench.cost import commands, counts, options, output, record, sequence, step, update, work
from nstbench.cost.record import Pair, Record
from nstbench.cost.sequence import Decision, Estimate
from nstbench.errors import NstbenchError, SettingsError
from nstbench.optimizers import find, minimise
from nstbench.settings import compose
from nstbench.transfer.objective import Objective

HISTORIES, LOOKS = 1000, 60
EDGE = math.log1p(0.01)
ALPHA = 0.05

SLEEPY = '''
"""Gradient descent that sleeps."""

import time


class Sleepy:
    resumable = True

    def __init__(self, learning_rate=1e-3, seconds=0.0):
        self.learning_rate, self.seconds = learning_rate, seconds

    def init(self, x):
        return {}

    def step(self, x, state, evaluate):
        _, gradient = evaluate(x)
        time.sleep(self.seconds)
        return x - self.learning_rate * gradient, state, None


class Sleepier(Sleepy):
    def __init__(self, learning_rate=1e-3, seconds=0.004):
        super().__init__(learning_rate, seconds)
'''


# ---------------------------------------------------------------- the decision rule


def quiet(random, shape, spread=0.01):
    return spread * random.standard_normal(shape)


def bursts(random, shape):
    """Other processes come and go for twenty samples, and then only ever add."""
    hit = (random.random((shape[0], shape[1] // 20)) < 0.3).repeat(20, axis=1)
    return np.where(hit, 0.2 * random.random(shape), 0.005 * random.standard_normal(shape))


def heavy(random, shape):
    return 0.005 * np.abs(random.standard_t(2, shape))


def decided(truth, noise, seed=0):
    """Shares of histories that are ever decided, looked at after every comparison."""
    random = np.random.default_rng(seed)
    samples = noise(random, (HISTORIES, 4 * LOOKS)).reshape(HISTORIES, LOOKS, 4)
    outer, inner = samples[..., [0, 3]], samples[..., [1, 2]]
    sign = random.choice([-1, 1], (HISTORIES, LOOKS))
    logs = truth + sign * (outer.mean(axis=-1) - inner.mean(axis=-1))
    spreads = sequence.spread(outer, inner)

    def above(supposed):
        return sequence.evidence(logs, spreads, supposed) >= math.log(1 / ALPHA)

    def below(supposed):
        return sequence.evidence(-logs, spreads, -supposed) >= math.log(1 / ALPHA)

    found = {
        Decision.MORE: above(EDGE),
        Decision.LESS: below(-EDGE),
        Decision.NO_DIFFERENCE: above(-EDGE) & below(EDGE),
    }
    return {decision: float(each.any(axis=1).mean()) for decision, each in found.items()}


NOISES = pytest.mark.parametrize("noise", [quiet, bursts, heavy])


@NOISES
def test_equal_steps_are_hardly_ever_called_different(noise):
    found = decided(0.0, noise)
    assert found[Decision.MORE] + found[Decision.LESS] <= ALPHA


@NOISES
@pytest.mark.parametrize("side", [-1, 1])
def test_at_the_margin_s_edge_repeated_looks_do_not_err(noise, side):
    found = decided(side * EDGE, noise)
    assert found[Decision.NO_DIFFERENCE] <= ALPHA
    assert found[Decision.MORE] <= ALPHA and found[Decision.LESS] <= ALPHA


@NOISES
@pytest.mark.parametrize("truth", [0.0, 0.002])
def test_equal_steps_are_found_equal(noise, truth):
    assert decided(truth, noise)[Decision.NO_DIFFERENCE] >= 0.9


@NOISES
def test_a_slower_step_is_found_slower(noise):
    assert decided(math.log1p(0.02), noise)[Decision.MORE] >= 0.9
    assert decided(-math.log1p(0.02), noise)[Decision.LESS] >= 0.9


def test_bounds_hold_at_every_look_and_mirror():
    random = np.random.default_rng(3)
    wrong = 0
    for _ in range(60):
        a, b = (
            0.003 + 0.01 * random.standard_normal((30, 2)),
            0.01 * random.standard_normal((30, 2)),
        )
        logs, spreads = a.mean(axis=1) - b.mean(axis=1), sequence.spread(a, b)
        looks = [sequence.estimate(logs[:n], spreads[:n], ALPHA) for n in (0, 1, 4, 8, 12, 20, 30)]
        wrong += any(look.low > 0.003 for look in looks)
        turned = sequence.estimate(-logs, spreads, ALPHA)
        assert turned.low == pytest.approx(-looks[-1].high, abs=1e-9)
        assert turned.high == pytest.approx(-looks[-1].low, abs=1e-9)
        assert looks[-1].low < looks[-1].centre < looks[-1].high
    assert wrong <= 0.05 * 60 + 3


def test_few_comparisons_bound_nothing():
    found = sequence.estimate([0.5] * 4, [0.02] * 4, ALPHA)
    assert (found.low, found.high, found.n) == (-math.inf, math.inf, 4)
    assert found.decision(0.01) is Decision.NOT_DECIDED
    assert sequence.estimate([], [], ALPHA).n == 0


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.011, 0.02, Decision.MORE),
        (-0.02, -0.011, Decision.LESS),
        (-0.009, 0.009, Decision.NO_DIFFERENCE),
        (0.001, 0.004, Decision.NO_DIFFERENCE),
        (0.005, 0.02, Decision.NOT_DECIDED),
        (-math.inf, math.inf, Decision.NOT_DECIDED),
    ],
)
def test_decisions(low, high, expected):
    assert Estimate(0.5 * (low + high), low, high, 9).decision(0.01) is expected


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.001, 0.00399, "A's step costs between 0.1 % and 0.4 % more than B's: no difference"),
        (-0.004, -0.00101, "A's step costs between 0.1 % and 0.4 % less than B's: no difference"),
        (-0.002, 0.00299, "A's step costs between 0.2 % less and 0.3 % more than B's: no diff"),
        (0.02, 0.5, "A's step costs between 2 % and 65 % more than B's: slower by more than 1 %."),
        (0.001, 0.01001, "A's step costs between 0.1 % and 1.1 % more than B's: not decided"),
        (0.0, 0.0198, "A's step costs between 0 % and 2 % more than B's: not decided at 1 % after"),
    ],
)
def test_a_sentence_says_the_bounds_and_what_they_decide(low, high, words):
    found = Estimate(0.5 * (low + high), low, high, 12)
    assert output.sentence("A", "B", found, 0.01).startswith(words)


def test_two_methods_of_one_name_are_told_apart():
    made = Record(problem={}, facts={})
    known = {
        "adam-1": ("Adam", 0.5), "adam-2": ("Adam", 0.5), "sgd-1": ("SGD", 1e-9),
        "lion-1": ("Lion", 0.02), "lion-2": ("Lion", 0.001), "lion-3": ("Lion", None),
    }  # fmt: skip
    for key, (label, lr) in known.items():
        made.methods[key] = record.Method(
            name="x", label=label, target="", lr=lr, options={}, source={}
        )
    assert output.labels(made) == {
        "adam-1": "adam-1", "adam-2": "adam-2", "sgd-1": "SGD",
        "lion-1": "Lion 0.02", "lion-2": "Lion 0.001", "lion-3": "Lion",
    }  # fmt: skip


# ---------------------------------------------------------------- instruments


@pytest.fixture(scope="module")
def engine():
    return engines.load("cpu")


@pytest.fixture(scope="module")
def sleepy(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "sleepy.py"
    path.write_text(SLEEPY)
    return path


def made(engine, *overrides):
    settings = compose.resolve(list(overrides))
    return find.create(settings.optimizer, settings.lr, None, engine)


@pytest.mark.parametrize(
    ("name", "held", "moved"),
    [("adam", 2, 7), ("adagrad", 1, 5), ("rmsprop", 1, 5), ("lion", 1, 5), ("sgd", 0, 3)],
)
def test_arrays_are_counted(engine, name, held, moved):
    gradient = update.gradient_of((32, 32, 3))
    found = counts.count(made(engine, f"optimizer={name}"), engine, gradient)
    assert found.held == pytest.approx(held, abs=0.01)
    assert found.read + found.written == pytest.approx(moved, abs=0.03)
    assert found.moved_bytes == pytest.approx(moved * gradient.nbytes, rel=0.01)
    if hasattr(engine.compile(lambda: None), "experimental_get_compiler_ir"):
        assert found.operations >= 2


def test_arrays_of_a_contract_optimizer_and_of_one_that_shows_nothing(engine, sleepy):
    gradient = update.gradient_of((8, 8, 3))
    own = counts.count(made(engine, f"optimizer={sleepy}:Sleepy"), engine, gradient)
    assert (own.held, own.read, own.written) == (0, 2, 1)
    hidden = counts.count(made(engine, "optimizer=lbfgsb"), engine, gradient)
    assert hidden == record.Counts()


def test_the_update_alone_is_read_in_the_quietest_rounds():
    random = np.random.default_rng(0)
    b = 1e-3 + 1e-6 * random.random(100)
    a = b + 50e-6 + 1e-6 * random.random(100) - 0.5e-6
    a[:60:2] += 0.01  # bursts that hit one or the other
    b[1:60:2] += 0.01
    found = update.paired(a, b, 0.25)
    assert found.low <= 50 <= found.high and found.value == pytest.approx(50, abs=1)


def test_updates_are_timed_in_one_process_and_unsuited_ones_left_out(engine, sleepy):
    makers = {
        name: lambda text=text: made(engine, f"optimizer={text}")
        for name, text in (("slow", f"{sleepy}:Sleepier"), ("fast", "sgd"), ("lbfgsb", "lbfgsb"))
    }
    gradient = update.gradient_of((8, 8, 3))
    found = update.measure(makers, engine, gradient, rounds=8, block_s=0)
    assert found.difference("slow", "fast", 0.5).low > 3000  # microseconds
    assert list(found.left_out) == ["lbfgsb"]
    assert found.difference("slow", "lbfgsb", 0.5) is None


class Simulated:
    """A clock, and minimisations that move it: 0.3 s a step, with drift and hiccups."""

    def __init__(self, seed=0):
        self.seconds, self.random = 0.0, np.random.default_rng(seed)
        self.drift = 0.0

    def now(self):
        return self.seconds

    def runner(self, name, factor):
        evaluation = SimpleNamespace(is_finite=True)

        def advance(steps):
            for _ in range(steps):
                self.drift += 0.001 * self.random.standard_normal()
                hiccup = 0.3 * self.random.random() * (self.random.random() < 0.05)
                noise = 0.01 * abs(self.random.standard_normal())
                self.seconds += 0.3 * factor * math.exp(self.drift + noise + hiccup)
            return SimpleNamespace(
                steps=[evaluation] * steps, evaluations=[evaluation] * steps, finished=None
            )

        nothing = SimpleNamespace(
            advance=advance, warm_up=lambda: None, state=lambda: {"x": 0}, close=lambda: None
        )
        made = step.Runner(name, lambda: nothing)
        made.warm_up(IDLE, 0.0, self.now)
        return made


IDLE = SimpleNamespace(synchronise=lambda: None)


def asked(**changes):
    defaults = {
        "margin": 0.01, "alpha": ALPHA, "minutes": 10, "pairs": "all", "sample_s": 0.0, "rounds": 8,
        "block_s": 0.0, "quietest": 0.25, "force": False,
    }  # fmt: skip
    return options.Options.model_validate(defaults | changes)


@pytest.mark.parametrize(
    ("slept", "margin", "expected"),
    [(0.01, 0.005, Decision.MORE), (0.001, 0.01, Decision.NO_DIFFERENCE)],
)
def test_a_share_of_a_step_is_decided_within_ten_simulated_minutes(slept, margin, expected):
    for seed in range(5):
        machine = Simulated(seed)
        runners = {"a": machine.runner("A", 1 + slept), "b": machine.runner("B", 1.0)}
        pair, chosen = Pair(a="a", b="b"), asked(margin=margin)
        clock = step.Clock(600.0, machine.now)
        step.decide([pair], runners, IDLE, chosen, clock, np.random.default_rng(seed))
        assert pair.estimate(ALPHA).decision(margin) is expected
        assert machine.seconds < 602


def test_time_that_is_over_ends_undecided():
    machine = Simulated()
    runners = {"a": machine.runner("A", 1.01), "b": machine.runner("B", 1.0)}
    pair, clock = Pair(a="a", b="b"), step.Clock(5.0, machine.now)
    step.decide([pair], runners, IDLE, asked(), clock, np.random.default_rng(0))
    assert step.is_open(pair, asked()) and 1 <= len(pair.logs) <= 4


def toy(engine):
    """Every pixel is drawn to the middle."""

    def terms(images, parameters):
        return {"pull": ops.sum(ops.square(images - parameters["target"]), axis=(1, 2, 3))}

    return Objective(terms, {"target": ops.convert_to_tensor(0.5, dtype=engine.dtype)})


def test_an_optimizer_that_sleeps_is_found_slower(engine, sleepy):
    start = np.zeros((8, 8, 3), np.float32)

    def runner(name):
        def make():
            return minimise.create(engine, toy(engine), start, made(engine, f"optimizer={name}"))

        found = step.Runner(name, make)
        found.warm_up(engine, 0.0, step.time.perf_counter)
        return found

    runners = {"slow": runner(f"{sleepy}:Sleepier"), "fast": runner(f"{sleepy}:Sleepy")}
    pair, clock = Pair(a="slow", b="fast"), step.Clock(step.time.perf_counter() + 30)
    step.decide([pair], runners, engine, asked(), clock, np.random.default_rng(0))
    assert pair.estimate(ALPHA).decision(0.01) is Decision.MORE


def test_a_method_that_ends_starts_again_and_one_that_never_steps_is_refused():
    starts = []

    def ending(steps_made):
        evaluation = SimpleNamespace(is_finite=True)

        def make():
            starts.append(1)
            steps = [evaluation] * steps_made
            return SimpleNamespace(
                advance=lambda n: SimpleNamespace(steps=steps, evaluations=steps, finished="done"),
                warm_up=lambda: None, state=dict, close=lambda: None,
            )  # fmt: skip

        found = step.Runner("Ending", make)
        found.warm_up(IDLE, 0.0, step.time.perf_counter)
        found.repeats = 1
        return found

    assert ending(1).sample(IDLE, step.time.perf_counter) >= 0
    assert len(starts) == 2
    with pytest.raises(NstbenchError, match="Ending ends before 1 steps"):
        ending(0).sample(IDLE, step.time.perf_counter)


# ---------------------------------------------------------------- the command


@pytest.fixture
def toy_problem(engine, monkeypatch):
    """The command with a toy in the network's place."""
    pixels = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)
    problem = SimpleNamespace(content=SimpleNamespace(pixels=pixels), objective=toy(engine))
    monkeypatch.setattr(work.problems, "load", lambda settings, engine: problem)


def run(folder, *words):
    fast = ["size=32", "device=cpu", "rounds=8", "block_s=0", "sample_s=0.001", "margin=0.9"]
    return commands.main([*fast, "minutes=0.3", f"out={folder}", *words])


def kept(folder):
    (path,) = folder.glob("cost/32-*/cost.json")
    return json.loads(path.read_text())


def test_a_session_measures_tells_and_is_not_repeated(toy_problem, tmp_path, capsys, sleepy):
    assert run(tmp_path, "optimizer=adam,rmsprop") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("Adam's step costs between") and "beyond 90 %." in told[0]
    first = kept(tmp_path)
    (pair,) = first["pairs"]
    assert len(pair["logs"]) >= 8 and pair["update"]["low"] <= pair["update"]["high"]
    (folder,) = (tmp_path / "cost").iterdir()
    for name in ("cost.csv", "methods.csv", "cost.md", "cost.png", "cost.svg"):
        assert (folder / name).stat().st_size > 0
    with (folder / "cost.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["decision"] == "no difference" and float(row["low"]) < float(row["high"])
    assert "| Adam / RMSprop |" in (folder / "cost.md").read_text()

    assert run(tmp_path, "optimizer=adam,rmsprop") == 0
    assert kept(tmp_path) == first  # decided: nothing was measured again

    assert run(tmp_path, f"optimizer=adam,rmsprop,{sleepy}:Sleepier", "pairs=first") == 0
    more = kept(tmp_path)
    assert more["pairs"][0]["logs"] == pair["logs"] and len(more["pairs"]) == 2
    assert len(more["methods"]) == 3 and len(more["visits"]) == 2

    assert run(tmp_path, "optimizer=adam,rmsprop", "force=true") == 0
    assert kept(tmp_path)["pairs"][-1]["logs"] != pair["logs"]


def test_a_stopped_session_continues(toy_problem, tmp_path, monkeypatch):
    whole = step.compare

    def stopping(pair, *arguments):
        if len(pair.logs) == 3:
            raise KeyboardInterrupt
        return whole(pair, *arguments)

    monkeypatch.setattr(step, "compare", stopping)
    assert run(tmp_path, "optimizer=adam,rmsprop") == 130
    before = kept(tmp_path)["pairs"][0]["logs"]
    assert len(before) == 3
    monkeypatch.setattr(step, "compare", whole)
    assert run(tmp_path, "optimizer=adam,rmsprop") == 0
    after = kept(tmp_path)
    assert after["pairs"][0]["logs"][:3] == before and len(after["visits"]) == 2


def test_no_other_thread_is_started(toy_problem, tmp_path, monkeypatch):
    whole, alive = step.compare, []

    def counting(*arguments):
        alive.append(threading.active_count())
        return whole(*arguments)

    monkeypatch.setattr(step, "compare", counting)
    before = threading.active_count()
    assert run(tmp_path, "optimizer=adam,rmsprop") == 0
    assert set(alive) == {before}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer=adam"], "cost compares optimizers"),
        (["optimizer=adam,adam"], "cost compares optimizers"),
        (["optimizer=adam", "lr=0.02,2e-2"], "cost compares optimizers or rates"),
        (["lr=0.02,0.001"], "optimizer=adam,adagrad"),
        (["optimizer=adam", "lr=0.02,-1"], "lr=-1"),
        (["optimizer=adam,adagard"], "did you mean adagrad"),
        (["optimizer=adam,sgd", "margn=0.02"], "did you mean margin"),
        (["optimizer=adam,sgd", "margin=2"], "margin=2"),
        (["optimizer=adam,sgd", "pairs=some"], "pairs=some"),
        (["optimizer=adam,sgd", "sise=64"], "did you mean size"),
        (["optimizer=adam,sgd", "content=nobody"], "content"),
        (["optimizer=adam,sgd", "-m"], "no option -m"),
        (["adam"], "cannot read 'adam'"),
    ],
)
def test_mistakes_are_one_line(words, message, capsys, tmp_path):
    assert commands.main([f"out={tmp_path}", *words]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and message in errors[0]


def test_a_file_that_is_no_record_is_named(toy_problem, tmp_path, capsys):
    assert run(tmp_path, "optimizer=adam,rmsprop", "minutes=0") == 0
    (path,) = tmp_path.glob("cost/32-*/cost.json")
    path.write_text("{}")
    capsys.readouterr()
    assert run(tmp_path, "optimizer=adam,rmsprop", "minutes=0") == 1
    assert "is no record of costs" in capsys.readouterr().err


def test_the_front_door_knows_the_command(capsys):
    assert cli.main(["cost", "--help"]) == 0
    assert "python -m nstbench cost optimizer=" in capsys.readouterr().out
    assert arguments.computes(["python", "-m", "nstbench", "cost", "optimizer=adam,sgd"])


def test_competitors_share_what_is_given_and_have_keys_of_their_own():
    request = options.read(["optimizer=adam,adagrad,sgd", "size=64", "lr=0.5", "pairs=first"])
    assert {c.settings.lr for c in request.competitors} == {0.5}
    assert len({c.key for c in request.competitors}) == 3
    assert [(a.label, b.label) for a, b in request.pairs] == [("Adam", "Adagrad"), ("Adam", "SGD")]
    with pytest.raises(SettingsError):
        options.read(["optimizer=adam,sgd", "optimizer.beta_1=0.9"])


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        (["optimizer=rmsprop", "lr=0.02,0.001"], ["RMSprop 0.02", "RMSprop 0.001"]),
        (["optimizer=adam,sgd", "lr=0.5,1,0.5"], ["Adam 0.5", "Adam 1", "SGD 0.5", "SGD 1"]),
        (["lr=choice(0.1,1)", "optimizer=adagrad"], ["Adagrad 0.1", "Adagrad 1"]),
    ],
)
def test_rates_compete_and_are_told_apart(words, labels):
    request = options.read([*words, "size=64"])
    assert sorted(c.label for c in request.competitors) == sorted(labels)
    assert len({c.key for c in request.competitors}) == len(labels)
    assert {f"{c.settings.lr:g}" for c in request.competitors} == {x.split()[1] for x in labels}


def test_one_optimizer_at_two_rates_is_measured_and_named(toy_problem, tmp_path, capsys):
    assert run(tmp_path, "optimizer=sgd", "lr=0.02,0.001") == 0
    assert capsys.readouterr().out.startswith("SGD 0.02's step costs between")
    assert [m["lr"] for m in kept(tmp_path)["methods"].values()] == [0.02, 0.001]
    assert run(tmp_path, "optimizer=adam,sgd", "lr=0.02", "minutes=0") == 0
    assert {m["label"] for m in kept(tmp_path)["methods"].values()} == {"SGD", "Adam"}
