"""`python -m nstbench check optimizer=...`: does an optimizer keep the contract, clause by clause?

The problem is a real one, small: 32 pixels and a network of random weights. Other settings can be
given as for a run. Exit code 1 when a clause fails.
"""

import io
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nstbench import arguments as given
from nstbench import errors
from nstbench.errors import NstbenchError
from nstbench.notation import number, setting

HELP = """\
python -m nstbench check optimizer=... [name=value ...]: does an optimizer keep the contract?

  python -m nstbench check optimizer=adam
  python -m nstbench check optimizer=./my_opt.py:MyAdam lr=0.1
  KERAS_BACKEND=torch python -m nstbench check optimizer=torch.optim.RAdam

Clause by clause, in under a minute: finite, moves, deterministic, stays in the box, every
evaluation counted, continues exactly from a checkpoint. Exit code 1 when a clause fails.
"""

PROBLEM = ("size=32", "weights=random", "epochs=3", "steps_per_epoch=4")
ENOUGH_S = 8.0  # seconds: no further step is begun, once two are made
MOST = 600  # evaluations of one trial; a step that needs more cannot be checked in a minute


@dataclass(frozen=True)
class Verdict:
    """What was found of one clause; `kept` is None where it does not apply."""

    clause: str
    kept: bool | None
    found: str


@dataclass
class Trial:
    """What one trajectory went through."""

    losses: list[float] = field(default_factory=list)  # of every evaluation on record
    numbers: list[int] = field(default_factory=list)  # theirs, as counted by the harness
    images: list[np.ndarray] = field(default_factory=list)  # before the first step, then after each
    calls: list[int] = field(default_factory=list)  # of the objective, up to each step's end
    finished: str | None = None

    @property
    def steps(self) -> int:
        return len(self.images) - 1

    def is_like(self, other: "Trial") -> bool:
        """Whether all losses and images are the same, bit for bit."""
        same = np.array_equal(self.losses, other.losses, equal_nan=True)
        return same and np.array_equal(self.images, other.images, equal_nan=True)


class Counting:
    """An engine that counts how often the objective is evaluated, whoever asks."""

    def __init__(self, engine):
        self._engine = engine
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def compile_evaluation(self, *arguments):
        return self._counted(self._engine.compile_evaluation(*arguments))

    def compile_update(self, *arguments):
        return self._counted(self._engine.compile_update(*arguments))

    def _counted(self, function: Callable) -> Callable:
        def counted(*arguments):
            self.calls += 1
            if self.calls > MOST:
                raise NstbenchError(f"more than {MOST} evaluations: too many to check in a minute")
            return function(*arguments)

        return counted


def main(arguments: Sequence[str]) -> int:
    """Check one optimizer, print a line per clause, and return the exit code."""
    return given.command("check", HELP, arguments, lambda: _main(given.joined(arguments)))


def _main(arguments: list[str]) -> int:
    from nstbench.run.progress import quiet_start
    from nstbench.settings import compose

    for argument in arguments:
        if given.is_flag(argument):
            raise errors.unknown("option", argument, (*given.HELP, given.CONFIG_DIR))
    with quiet_start():
        settings = compose.resolve([*PROBLEM, *arguments])
    rate = "" if settings.lr is None else f" lr={setting(settings.lr)}"
    print(f"{settings.optimizer.target}{rate}, {settings.size} pixels, on {settings.backend}")
    failed = 0
    for verdict in check(settings):
        word = {True: "ok", False: "FAILED", None: "-"}[verdict.kept]
        print(f"  {word:<6}  {verdict.clause:<35}  {verdict.found}", flush=True)
        failed += verdict.kept is False
    return 1 if failed else 0


def check(settings) -> Iterator[Verdict]:
    """The contract's clauses for the optimizer of `settings`, each as soon as it is known.

    Raises `NstbenchError` where the optimizer cannot be set up, or a step ends with an error.
    """
    begin = _beginning(settings)
    return clauses(begin, settings.epochs * settings.steps_per_epoch, settings.optimizer.box)


def clauses(begin: Callable, steps: int, box: bool) -> Iterator[Verdict]:
    """The clauses on up to `steps` steps of what `begin` returns.

    `begin()` makes the same minimisation every time, ready to step, and its `Counting` engine.
    """
    trial, resumable = _undisturbed(begin, steps, seconds=ENOUGH_S)
    yield _finite(trial)
    yield _moves(trial)
    again, _ = _undisturbed(begin, trial.steps)
    same = trial.is_like(again)
    found = "run twice, every loss and pixel is the same" if same else _difference(trial, again)
    yield Verdict("is deterministic", same, found)
    yield _in_box(trial, box)
    yield _counted(trial)
    if not resumable:
        yield Verdict("continues exactly from a checkpoint", None, "cannot; it repeats itself")
        return
    interrupted = _interrupted(begin, trial.steps)
    same = trial.is_like(interrupted)
    where = f"stopped after {trial.steps // 2} of {trial.steps} steps and continued: "
    found = "no difference" if same else _difference(trial, interrupted)
    yield Verdict("continues exactly from a checkpoint", same, where + found)


def _beginning(settings) -> Callable:
    """() -> a new minimisation of the same problem, ready to step, and its counting engine."""
    from nstbench.run.progress import quiet_start

    with quiet_start():
        from nstbench import engine as engines
        from nstbench.optimizers import find, minimise, schedules
        from nstbench.transfer import problem as problems

    engine = engines.load(settings.device, settings.precision)
    total = settings.epochs * settings.steps_per_epoch
    with engine.scope():
        schedule = schedules.build(settings.schedule, total)
        # Before the network is loaded: what is wrong with the optimizer is said at once.
        find.create(settings.optimizer, settings.lr, schedule, engine)
        problem = problems.load(settings, engine)
    start = problems.start_image(settings, problem.content.pixels)

    def begin():
        counting = Counting(engine)
        with engine.scope():
            made = find.create(settings.optimizer, settings.lr, schedule, counting)
            box = settings.optimizer.box
            begun = minimise.create(counting, problem.objective, start, made, box)
            begun.warm_up()
        counting.calls = 0
        return begun, counting

    return begin


def _undisturbed(begin, steps: int, seconds: float = math.inf) -> tuple[Trial, bool]:
    """A trajectory of `steps` steps, fewer (but two) after `seconds`; whether it can resume."""
    begun, engine = begin()
    trial, began = Trial(images=[begun.image]), time.monotonic()
    with engine.scope():
        while not trial.finished and trial.steps < steps:
            _advance(trial, begun, engine)
            if trial.steps >= 2 and time.monotonic() - began > seconds:
                break
    begun.close()
    return trial, begun.resumable


def _interrupted(begin, steps: int) -> Trial:
    """The same trajectory, its second half by another minimisation, from a file's bytes."""
    begun, engine = begin()
    trial = Trial(images=[begun.image])
    with engine.scope():
        while trial.steps < steps // 2:
            _advance(trial, begun, engine)
        file = io.BytesIO()
        np.savez(file, **begun.state())
        file.seek(0)
        begun, engine = begin()
        with np.load(file, allow_pickle=False) as arrays:
            begun.restore(dict(arrays))
        while trial.steps < steps and not trial.finished:
            _advance(trial, begun, engine)
    return trial


def _advance(trial: Trial, begun, engine: Counting) -> None:
    epoch = begun.advance(1)
    trial.losses += [evaluation.loss for evaluation in epoch.evaluations]
    trial.numbers += [evaluation.number for evaluation in epoch.evaluations]
    trial.calls.append(engine.calls)
    trial.images.append(begun.image)
    trial.finished = epoch.finished


def _finite(trial: Trial) -> Verdict:
    wrong = [n for n, loss in zip(trial.numbers, trial.losses, strict=True) if not _is_finite(loss)]
    pixels = all(map(_is_finite, trial.images))
    if wrong:
        found = f"the loss of evaluation {wrong[0]} is not: a smaller lr may help"
    elif not pixels:
        found = "some pixels are not"
    else:
        found = f"{len(trial.losses)} losses in {trial.steps} steps"
    return Verdict("is finite", not wrong and pixels, found)


def _is_finite(value) -> bool:
    return bool(np.isfinite(value).all())


def _moves(trial: Trial) -> Verdict:
    most = max(float(np.abs(image - trial.images[0]).max()) for image in trial.images)
    losses = f"loss {number(trial.losses[0], 6)} -> {number(min(trial.losses), 6)} at best"
    ended = f"; it ended: {trial.finished}" if trial.finished else ""
    return Verdict("moves", most > 0, f"{losses}, a pixel by up to {number(most, 3)}{ended}")


def _in_box(trial: Trial, box: bool) -> Verdict:
    low = min(float(image.min()) for image in trial.images)
    high = max(float(image.max()) for image in trial.images)
    found = f"pixels from {number(low, 3)} to {number(high, 3)}"
    if not box:
        return Verdict("stays in [0, 1]", None, f"box=false: {found}")
    return Verdict("stays in [0, 1]", low >= 0 and high <= 1, found)


def _counted(trial: Trial) -> Verdict:
    made = trial.calls[-1] if trial.calls else 0
    in_order = trial.numbers == list(range(1, len(trial.numbers) + 1))
    found = f"{len(trial.numbers)} on record, {made} made in {trial.steps} steps"
    return Verdict("has every evaluation counted", in_order and len(trial.numbers) == made, found)


def _difference(one: Trial, other: Trial) -> str:
    """Where two trajectories part."""
    pairs = itertools.zip_longest(one.losses, other.losses)
    for place, (here, there) in enumerate(pairs, start=1):
        if here != there:
            return f"the loss of evaluation {place} is {here} or {there}"
    return "the losses agree, the pixels do not"
