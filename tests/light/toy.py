"""A toy problem: pictures of 16 x 16 pixels that are drawn towards a target, slowly.

The content's name says how a run behaves: `raises`, `killed` and `hangs` do what they say, any
other name runs to its end. `TOY_EPOCH_S` is what an epoch takes at least.
"""

import contextlib
import hashlib
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

SIDE = 16
STEPS = 5  # an epoch's
MISBEHAVES_AT = 3  # epochs


class Engine:
    """Nothing to compile, nothing to wait for."""

    def synchronise(self):
        pass

    def scope(self):
        return contextlib.nullcontext()

    def devices(self):
        return ["toy"]

    def kernels(self, chosen):
        return chosen


class Descent:
    """Gradient descent with momentum on (x - target)^2: a `minimise.Minimisation` of its own."""

    resumable = True

    def __init__(self, rate, target, start, behaviour):
        self.target, self.behaviour, self.rate = target, behaviour, rate
        self.image = np.array(start, np.float64)
        self.speed = np.zeros_like(self.image)
        self.taken = 0

    def warm_up(self):
        pass

    def allow(self, evaluations):
        pass

    def advance(self, steps):
        time.sleep(float(os.environ.get("TOY_EPOCH_S", "0")) * steps / STEPS)
        if self.taken >= MISBEHAVES_AT * STEPS:
            self.misbehave()
        taken = tuple(self.step() for _ in range(steps))
        return SimpleNamespace(steps=taken, evaluations=taken, finished=None)

    def step(self):
        self.taken += 1
        evaluation = self.evaluate()
        self.speed = 0.9 * self.speed - 0.01 * self.rate * (self.image - self.target)
        self.image = np.clip(self.image + self.speed, 0, 1)
        return evaluation

    def evaluate(self):
        from nstbench.optimizers.contract import Evaluation

        loss = float(np.square(self.image - self.target).mean())
        terms = {"content": loss, "style": 0.0, "variation": 0.0}
        return Evaluation(self.taken, self.taken, loss, terms, loss)

    def misbehave(self):
        if self.behaviour == "raises":
            raise RuntimeError("the toy broke")
        if self.behaviour == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        while self.behaviour == "hangs":
            time.sleep(1)

    def state(self):
        return {
            "image": self.image.copy(),
            "speed": self.speed.copy(),
            "taken": np.array(self.taken),
        }

    def restore(self, state):
        self.image, self.speed = state["image"], state["speed"]
        self.taken = int(state["taken"])

    def close(self):
        pass


# ---- the names that the run loop imports -------------------------------------------------------


Problem = Epoch = Minimisation = Begun = SimpleNamespace  # types only


def begin(*asked):
    """`prepared.begin`: nothing is read ahead."""


def load(first, second, progress=None, begun=None):
    """`engine.load(device, precision)` and `problem.load(settings, engine, progress, begun)`."""
    if isinstance(first, str):
        return Engine()
    behaviour = Path(first.content).name
    if behaviour == "hangs":
        time.sleep(10**6)
    pixels = np.random.default_rng(1).random((SIDE, SIDE, 3)).astype(np.float32)
    digest = hashlib.sha256(behaviour.encode()).hexdigest()
    picture = SimpleNamespace(name=behaviour, pixels=pixels, sha256=digest)
    return SimpleNamespace(
        content=picture,
        styles=[picture],
        extractor=SimpleNamespace(weights=SimpleNamespace(source="toy", sha256="toy")),
        objective=SimpleNamespace(behaviour=behaviour),
        layers={},
    )


def measured_by(settings, problem, engine):
    raise AssertionError("the toy has the default objective alone")


def start_image(settings, content):
    return np.random.default_rng([settings.seed, settings.repeat]).random(content.shape)


def build(settings, total_steps):
    """`schedules.build`."""


def create(first, second, third, fourth, box=True):
    """`find.create(optimizer, lr, ...)` and `minimise.create(engine, objective, ...)`."""
    if not hasattr(first, "synchronise"):  # the toy is loaded under several names
        return second or 1.0
    target = np.random.default_rng(2).random((SIDE, SIDE, 3))
    return Descent(fourth, target, third, second.behaviour)


def structural_similarity(content, picture, channel_axis, data_range):
    return 1 - float(np.abs(content - picture).mean()) / data_range


def peak_signal_noise_ratio(content, picture, data_range):
    return float(-10 * np.log10(np.square(content - picture).mean()))
