"""One session: build every competitor, see that all compute the same, time them in turn."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
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
from nstbench.speed import peers
from nstbench.speed.goals import Session
from nstbench.speed.options import LABELS, Options
from nstbench.transfer import problem

Calls = Mapping[str, Callable[[int], None]]


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


def compare(options: Options, engine, size: int, session: Session, say) -> None:
    """Measure all competitors at one size into `session`."""
    accelerator = engine.devices() != ["CPU"]
    settings = settings_for(options, size)
    task = task_of(settings, accelerator)
    built: dict[str, peers.Competitor] = {}
    for peer in options.peers:
        say(f"{size}: building {LABELS[peer]}")
        try:
            built[peer] = _build(peer, task, settings, engine)
        except (peers.Missing, ImportError) as reason:
            session.missing[peer] = str(reason)
    say(f"{size}: comparing losses and gradients")
    for peer, found in agreement(built, options.tolerance).items():
        session.agreement[peer, size] = found
    calls = {f"evaluation {peer}": each.evaluate for peer, each in built.items()}
    calls |= {f"step {peer}": each.step for peer, each in built.items()}
    calls |= {f"product {name}": c for name, c in products(options.matrix, engine).items()}
    seconds = interleave(calls, options, partial(say, f"{size}: "))
    for peer in built:
        session.evaluation[peer, size] = seconds[f"evaluation {peer}"]
        session.step[peer, size] = seconds[f"step {peer}"]
    for name, found in seconds.items():
        if name.startswith("product "):
            session.products.setdefault(name.removeprefix("product "), []).extend(found)
    session.product_flops = 2.0 * options.matrix**3
    if session.overhead_s is None:
        session.overhead_s = overhead(settings, engine)


def _build(peer: str, task: peers.Task, settings: Settings, engine) -> peers.Competitor:
    if peer in ("nstbench", "direct"):
        return peers.nstbench(task, settings, engine, "auto" if peer == "nstbench" else "direct")
    return peers.OTHERS[peer](task)


def agreement(
    built: Mapping[str, peers.Competitor], tolerance: float
) -> dict[str, tuple[float, float]]:
    """Relative differences of loss and gradient from nstbench's at the start picture.

    Raises `NstbenchError` where one exceeds `tolerance`: seconds of different things say nothing.
    """
    loss, gradient = built["nstbench"].check()
    found = {}
    for peer, competitor in built.items():
        other_loss, other_gradient = competitor.check()
        distance = np.linalg.norm(other_gradient - gradient) / np.linalg.norm(gradient)
        found[peer] = abs(other_loss / loss - 1), float(distance)
        if not max(found[peer]) <= tolerance:
            raise NstbenchError(
                f"{LABELS[peer]} computes something else: its loss differs by "
                f"{found[peer][0]:.1e}, its gradient by {found[peer][1]:.1e}"
            )
    return found


def interleave(calls: Calls, options: Options, say, now=time.perf_counter) -> dict[str, list]:
    """Seconds per call, a list entry per round: every call once a round, after a warm-up.

    A call is repeated within its sample until that lasts about `sample_s`.
    """
    repeats = {}
    for name, call in calls.items():
        say(f"warming up {name}")
        call(1)  # compiles
        for _ in range(options.warm_up):
            call(1)
        start = now()
        call(1)
        repeats[name] = max(1, round(options.sample_s / max(now() - start, 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        for name, call in calls.items():
            time.sleep(options.pause_s)
            start = now()
            call(repeats[name])
            seconds[name].append((now() - start) / repeats[name])
    return seconds


def products(side: int, engine) -> Calls:
    """Square float32 matrix products by every library at hand, on the engine's device."""
    from keras import ops

    a = np.random.default_rng(0).random((side, side)).astype("float32")
    with engine.scope():
        tensor = ops.convert_to_tensor(a)

    def backend(count):
        with engine.scope():
            for _ in range(count):
                ops.matmul(tensor, tensor)
            engine.synchronise()

    found = {"keras.ops": backend}
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


def curve(options: Options, engine, say) -> dict[int, float]:
    """nstbench's median seconds per evaluation at each size of the cost curve."""
    found = {}
    for size in options.curve:
        settings = settings_for(options, size)
        task = replace(task_of(settings, engine.devices() != ["CPU"]), layers=None)
        competitor = peers.nstbench(task, settings, engine, "auto")
        calls = {f"{size} pixels": competitor.evaluate}
        seconds = interleave(calls, options, partial(say, "cost curve: "))
        found[size] = float(np.median(seconds[f"{size} pixels"]))
        del competitor, calls
        gc.collect()
    return found
