"""One session: build every competitor, see that all compute the same, time them in turn."""

import gc
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nstbench.errors import NstbenchError
from nstbench.optimizers import find, minimise
from nstbench.run.clock import Clocks
from nstbench.run.record import RunDirectory
from nstbench.run.schema import epoch_columns, trace_columns
from nstbench.settings import compose
from nstbench.settings.model import Settings
from nstbench.speed import peers, remote
from nstbench.speed.goals import Session
from nstbench.speed.options import LABELS, Options
from nstbench.transfer import problem

Key = tuple[str, str]  # evaluation, step or product; whose
Calls = Mapping[Key, Callable[[int], None]]
Seconds = dict[Key, list[float]]


def settings_for(options: Options, size: int) -> Settings:
    """The main command's settings of what is measured: its defaults, from noise."""
    return compose.resolve(
        [f"size={size}", "init=noise", f"weights={options.weights}", f"device={options.device}"]
    )


def task_of(settings: Settings, accelerator: bool) -> peers.Task:
    """The problem of `settings` as the competitors take it."""
    from nstbench.networks import weights
    from nstbench.pictures import images

    content = images.load(settings.content, settings.size).pixels
    terms, adam = settings.objective.terms, settings.optimizer.options
    (content_layer,) = terms["content"]["layers"]
    return peers.Task(
        content=content,
        style=images.load(settings.style[0], settings.size).pixels,
        start=problem.start_image(settings, content),
        layers=weights.load("vgg19", settings.weights, seed=settings.seed).layers,
        content_layer=content_layer,
        content_weight=terms["content"]["weight"],
        style_layers=tuple(terms["style"]["layers"]),
        style_weight=terms["style"]["weight"],
        variation_weight=terms["variation"]["weight"],
        adam=(settings.lr, *(adam[name] for name in ("beta_1", "beta_2", "epsilon"))),
        accelerator=accelerator,
    )


def compare(options: Options, engine, size: int, session: Session, keep, say) -> None:
    """Measure all competitors at one size into `session`, from the round that is on record.

    Each is a process of its own and waits for its turn. `keep()` puts on record what there is.
    """
    if rounds_of(session, size) >= options.rounds:
        return
    session.product_flops = 2.0 * options.matrix**3
    settings = settings_for(options, size)
    task = task_of(settings, engine.devices() != ["CPU"])
    with TemporaryDirectory() as folder, ExitStack() as ends:
        built, missing = {}, {}
        for peer in _still_in(options, session, size):
            say(f"{size}: building {LABELS[peer]}")
            file = remote.give(Path(folder), peer, list(settings.command), task)
            try:
                built[peer] = remote.Remote(peer, file)
                ends.callback(built[peer].close)
            except peers.Missing as reason:
                missing[peer] = str(reason)
        say(f"{size}: comparing losses and gradients")
        for peer, found in agreement(built, missing).items():
            session.agreement[peer, size] = found
        calls = {("evaluation", peer): each.evaluate for peer, each in built.items()}
        calls |= {("step", peer): each.step for peer, each in built.items()}
        calls |= {("product", name): c for name, c in products(options.matrix, engine).items()}
        earlier = {key: times for key in calls if (times := _times(session, size, key))}

        def after_round(seconds: Seconds) -> None:
            _take(seconds, missing, size, session)
            keep()

        interleave(calls, options, missing, after_round, partial(say, f"{size}: "), earlier)


def rounds_of(session: Session, size: int) -> int:
    """How many rounds are on record at `size`."""
    counts = [len(times) for (_, s), times in session.evaluation.items() if s == size]
    return max(counts, default=0)


def _still_in(options: Options, session: Session, size: int) -> list[str]:
    """Those who have taken part from the first round on; everybody before it."""
    begun = rounds_of(session, size)
    return [p for p in options.peers if not begun or (p, size) in session.evaluation]


def _times(session: Session, size: int, key: Key) -> list[float]:
    what, owner = key
    if what == "product":
        return []
    return list(getattr(session, what).get((owner, size), ()))


def _take(seconds: Seconds, missing: Mapping[str, str], size: int, session: Session) -> None:
    """The rounds so far into the session; who failed on the way has no row at this size."""
    session.missing |= {(peer, size): reason for peer, reason in missing.items()}
    for what in ("evaluation", "step"):
        rows = getattr(session, what)
        for key in [key for key in rows if key[1] == size]:
            del rows[key]
        found = {(owner, size): times for (w, owner), times in seconds.items() if w == what}
        rows.update({key: list(times) for key, times in found.items()})
    for (what, name), times in seconds.items():
        if what == "product":
            session.products.setdefault(name, []).append(times[-1])


def agreement(
    built: Mapping[str, peers.Competitor], missing: dict[str, str]
) -> dict[str, tuple[float, float]]:
    """Relative differences of loss and gradient from nstbench's at the start picture.

    Who fails is put into `missing`, and nobody is compared where nstbench does.
    """
    seen = {}
    for peer, competitor in built.items():
        try:
            seen[peer] = competitor.check()
        except peers.Missing as reason:
            missing[peer] = str(reason)
    if "nstbench" not in seen:
        return {}
    loss, gradient = seen["nstbench"]
    norm = np.linalg.norm(gradient)
    return {
        peer: (abs(other / loss - 1), float(np.linalg.norm(others - gradient) / norm))
        for peer, (other, others) in seen.items()
    }


def interleave(
    calls: Calls,
    options: Options,
    missing: dict[str, str],
    after_round: Callable[[Seconds], None],
    say: Callable[..., None],
    earlier: Mapping[Key, list[float]] | None = None,
    now: Callable[[], float] = time.perf_counter,
) -> Seconds:
    """Seconds per call, a list entry per round: every call once a round, after a warm-up.

    A call is repeated within its sample until that lasts about `sample_s`. `earlier` are the rounds
    that have been. The owner of a call that raises `Missing` leaves: he is put into `missing`.
    """
    calls = {key: call for key, call in calls.items() if key[1] not in missing}
    repeats: dict[Key, int] = {}

    def called(key: Key, count: int) -> float | None:
        start = now()
        try:
            calls[key](count)
        except peers.Missing as reason:
            missing[key[1]] = str(reason)
            for gone in [other for other in calls if other[1] == key[1]]:
                del calls[gone]
            return None
        return now() - start

    for what, owner in list(calls):
        say(f"warming up {what} {LABELS.get(owner, owner)}")
        for _ in range(2 + options.warm_up):  # the first one compiles, the last one is timed
            if (what, owner) in calls:
                seconds = called((what, owner), 1)
                repeats[what, owner] = max(1, round(options.sample_s / max(seconds or 0.0, 1e-9)))
    table: Seconds = {key: list((earlier or {}).get(key, ())) for key in calls}
    begun = max((len(times) for times in (earlier or {}).values()), default=0)
    for number in range(begun, options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        for key in list(calls):
            time.sleep(options.pause_s)
            seconds = called(key, repeats[key]) if key in calls else None
            if seconds is not None:
                table[key].append(seconds / repeats[key])
        table = {key: times for key, times in table.items() if key in calls}
        after_round(table)
    return table


def products(side: int, engine) -> dict[str, Callable[[int], None]]:
    """Square float32 matrix products by every library at hand, on the engine's device."""
    from keras import ops

    a = np.random.default_rng(0).random((side, side)).astype("float32")
    with engine.scope():
        tensor = ops.convert_to_tensor(a)

    product = peers.repeated(lambda: ops.matmul(tensor, tensor), engine.synchronise, engine.scope)
    found = {"keras.ops": product}
    if engine.devices() != ["CPU"]:
        return found
    found["numpy"] = peers.repeated(lambda: a @ a, peers.nothing)
    try:
        import torch
    except ImportError:
        return found
    b = torch.from_numpy(a)
    return found | {"torch": peers.repeated(lambda: b @ b, peers.nothing)}


class _Idle:
    """An engine whose step does nothing: what is left to time is the harness."""

    def __init__(self, engine, result):
        self.dtype, self.to_numpy = engine.dtype, engine.to_numpy
        self._result = result

    def compile_update(self, terms, parameters, optimizer, image, box):
        return lambda: self._result


def overhead(settings: Settings, engine, epochs: int = 40) -> float:
    """Seconds per step that the harness adds to the compiled step: gathering, clocks, record."""
    from keras import ops

    from nstbench.engine.base import Values
    from nstbench.transfer.objective import Objective

    start = np.zeros((32, 32, 3), "float32")
    steps, terms = settings.steps_per_epoch, list(settings.objective.terms)
    with engine.scope():
        one = ops.ones((1,))
        idle = _Idle(engine, Values(one, dict.fromkeys(terms, one), one))
        adam = find.create(settings.optimizer, settings.lr, None, engine)
        descent = minimise.create(idle, Objective(None, {}), start, adam)
    row = dict.fromkeys(epoch_columns(terms), 1.0)
    rows = [dict.fromkeys(trace_columns(terms), 1.0)] * steps
    clocks = Clocks()
    with TemporaryDirectory() as folder, RunDirectory(Path(folder) / "run") as directory:
        directory.start_rows(terms=terms)
        began = time.perf_counter()
        for _ in range(epochs):
            with clocks.measure("optimise"):
                descent.advance(steps)
            with clocks.measure("io"):
                directory.append_trace(rows)
                directory.append_epoch(row)
        return (time.perf_counter() - began) / (epochs * steps)


def curve(options: Options, engine, session: Session, keep, say) -> None:
    """nstbench's median seconds per evaluation at each size of the cost curve that has none."""
    for size in options.curve:
        if size in session.curve:
            continue
        competitor = peers.nstbench(settings_for(options, size), engine)
        calls = {("evaluation", "nstbench"): competitor.evaluate}
        seconds = interleave(
            calls, options, {}, lambda table: None, partial(say, f"cost curve: {size}: ")
        )
        session.curve[size] = float(np.median(seconds["evaluation", "nstbench"]))
        keep()
        del competitor, calls
        gc.collect()


def starts(options: Options, engine, size: int, session: Session, keep, say) -> None:
    """Start every competitor that was measured at `size` in a process of its own."""
    settings = settings_for(options, size)
    task = task_of(settings, engine.devices() != ["CPU"])
    for peer in options.peers:
        if (peer, size) in session.fresh or (peer, size) not in session.evaluation:
            continue
        say(f"{size}: starting {LABELS[peer]} in a process of its own")
        try:
            session.fresh[peer, size] = remote.start(peer, list(settings.command), task)
        except NstbenchError as reason:
            session.notes.append(f"{LABELS[peer]} at {size} has no start: {reason}")
        keep()
