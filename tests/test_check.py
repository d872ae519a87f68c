"""`nstbench check`: every built-in optimizer keeps the contract, and whoever breaks it is told."""

from types import SimpleNamespace

import numpy as np
import pytest
from keras import ops

from nstbench import check
from nstbench import engine as engines
from nstbench.errors import NstbenchError
from nstbench.optimizers import find, minimise
from nstbench.settings import compose
from nstbench.transfer.objective import Objective

SIDE = 6


def beginning(optimizer, lr):
    """What `check.clauses` steps: a valley as steep as the real objective, on a few pixels."""
    engine = engines.load("cpu")
    target = np.random.default_rng(1).random(SIDE * SIDE * 3, np.float32)

    def terms(images, parameters):
        flat = ops.reshape(images, (images.shape[0], -1))
        bend = ops.sum(ops.square(flat[:, 1:] - ops.square(flat[:, :-1])), axis=1)
        return {"pull": 1e6 * ops.sum(ops.square(flat - target), axis=1), "bend": 1e6 * bend}

    def begin():
        counting = check.Counting(engine)
        made = find.create(optimizer, lr, None, counting)
        start = np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32)
        begun = minimise.create(counting, Objective(terms, {}), start, made, optimizer.box)
        begun.warm_up()
        counting.calls = 0
        return begun, counting

    return begin


def verdicts(optimizer, lr=None, steps=6):
    return {v.clause: v for v in check.clauses(beginning(optimizer, lr), steps, optimizer.box)}


@pytest.mark.parametrize("name", compose.choices("optimizer"))
def test_every_built_in_optimizer_keeps_the_contract(name):
    settings = compose.resolve([f"optimizer={name}"])
    found = verdicts(settings.optimizer, settings.lr)
    assert {clause: v.found for clause, v in found.items() if v.kept is False} == {}
    assert len(found) == 6


BROKEN = '''
import numpy as np

class Good:
    resumable = True

    def init(self, x):
        return {"taken": np.array(0)}

    def step(self, x, state, evaluate):
        _, gradient = evaluate(x)
        return x - self.rate(int(state["taken"])) * gradient, {"taken": state["taken"] + 1}, None

    def rate(self, step):
        return 1e-8 / (1 + step)

class Random(Good):
    def rate(self, step):
        return 1e-8 * np.random.random()

class Forgetful(Good):
    taken = 0

    def rate(self, step):
        self.taken += 1
        return 1e-8 / self.taken

class Still(Good):
    def rate(self, step):
        return 0.0

class Explosive(Good):
    def rate(self, step):
        return float("nan")

class Secretive(Good):
    """Looks at the objective behind the harness's back."""

    def __init__(self, engine):
        compile = engine.compile_evaluation
        def spied(*arguments):
            self.look = compile(*arguments)
            return self.look
        engine.compile_evaluation = spied

    def step(self, x, state, evaluate):
        self.look(x)
        return super().step(x, state, evaluate)
'''


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("Good", set()),
        ("Random", {"is deterministic", "continues exactly from a checkpoint"}),
        ("Forgetful", {"continues exactly from a checkpoint"}),
        ("Still", {"moves"}),
        ("Explosive", {"is finite"}),
        ("Secretive", {"has every evaluation counted"}),
    ],
)
def test_a_broken_clause_is_named(tmp_path, name, broken):
    (tmp_path / "own.py").write_text(BROKEN)
    target = f"{tmp_path / 'own.py'}:{name}"
    found = verdicts(SimpleNamespace(target=target, box=True, options={}))
    failed = {clause for clause, verdict in found.items() if verdict.kept is False}
    assert failed & broken == broken
    assert failed <= broken | ({"moves", "stays in [0, 1]"} if name == "Explosive" else set())


def test_outside_the_box_is_no_fault_where_no_box_is_asked_for(tmp_path):
    (tmp_path / "own.py").write_text(BROKEN)
    target = f"{tmp_path / 'own.py'}:Good"
    found = verdicts(SimpleNamespace(target=target, box=False, options={}))
    assert found["stays in [0, 1]"].kept is None


def test_the_command_says_each_verdict_and_ends_with_its_code(tmp_path, capsys):
    (tmp_path / "own.py").write_text(BROKEN)
    assert check.main([f"optimizer={tmp_path / 'own.py'}:Still"]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 7 and "32 pixels" in shown[0]
    assert [line.split()[0] for line in shown[1:]] == ["ok", "FAILED", "ok", "ok", "ok", "ok"]
    assert check.main(["optimizer=scipy.CGG"]) == 2
    assert "unknown method of scipy.optimize.minimize" in capsys.readouterr().err


def test_a_step_that_needs_too_many_evaluations_is_told_and_not_waited_for(monkeypatch):
    monkeypatch.setattr(check, "MOST", 20)  # Nelder-Mead needs one per pixel to begin with
    with pytest.raises(NstbenchError, match="more than 20 evaluations"):
        verdicts(SimpleNamespace(target="scipy.Nelder-Mead", box=True, options={}))
