"""A toy problem: pictures of 16 x 16 pixels that are drawn towards a target, slowly.

The content's name says how a run behaves: `raises`, `killed` and `hangs` do what they say, any
other name runs to its end. `TOY_EPOCH_S` is what an epoch takes at least.
"""

import contextlib
import hashlib
import os
import signal
import time
from types import SimpleNamespace

import numpy as np

SIDE = 16
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
    """Gradient descent with momentum on (x - target)^2: a state of two arrays per lane."""

    def __init__(self, rates, target, starts, behaviour):
        self.target, self.behaviour = target, behaviour
        self.rates = np.array(rates)[:, None, None, None]
        self.images = np.array(starts, np.float64)
        self.speed = np.zeros_like(self.images)
        self.taken = 0

    def warm_up(self):
        pass

    def advance(self, steps):
        time.sleep(float(os.environ.get("TOY_EPOCH_S", "0")))
        if self.taken >= MISBEHAVES_AT * steps:
            self.misbehave()
        epochs = [self.step() for _ in range(steps)]
        lanes = zip(*epochs, strict=True)
        return [SimpleNamespace(steps=e, evaluations=e, finished=None) for e in lanes]

    def step(self):
        self.taken += 1
        values = self.evaluate()
        self.speed = 0.9 * self.speed - 0.01 * self.rates * (self.images - self.target)
        self.images = np.clip(self.images + self.speed, 0, 1)
        return values

    def evaluate(self):
        from nstbench.optimizers.base import Evaluation

        losses = np.square(self.images - self.target).mean(axis=(1, 2, 3))
        return [Evaluation(self.taken, self.taken, x, x, 0.0, 0.0, x) for x in map(float, losses)]

    def misbehave(self):
        if self.behaviour == "raises":
            raise RuntimeError("the toy broke")
        if self.behaviour == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        while self.behaviour == "hangs":
            time.sleep(1)

    def state(self, lane):
        return {
            "image": self.images[lane].copy(),
            "speed": self.speed[lane].copy(),
            "taken": np.array(self.taken),
        }

    def restore(self, lane, state):
        self.images[lane], self.speed[lane] = state["image"], state["speed"]
        self.taken = int(state["taken"])


# ---- the names that the runner imports ---------------------------------------------------------


def load(first, second, progress=None):
    """`engine.load(device, precision)` and `problem.load(settings, engine, progress)`."""
    if isinstance(first, str):
        return Engine()
    if first.content == "hangs":
        time.sleep(10**6)
    pixels = np.random.default_rng(1).random((SIDE, SIDE, 3)).astype(np.float32)
    digest = hashlib.sha256(first.content.encode()).hexdigest()
    picture = SimpleNamespace(name=first.content, pixels=pixels, sha256=digest)
    weights = SimpleNamespace(source="toy", sha256="toy")
    return SimpleNamespace(
        content=picture,
        styles=[picture],
        extractor=SimpleNamespace(weights=weights),
        objective=SimpleNamespace(behaviour=first.content),
    )


def start_image(settings, content):
    return np.random.default_rng([settings.seed, settings.repeat]).random(content.shape)


def describe(picture):
    from nstbench.run import schema

    return schema.Picture(name=picture.name, sha256=picture.sha256, height=SIDE, width=SIDE)


def create(chosen, engine, objective, starts):
    target = np.random.default_rng(2).random((SIDE, SIDE, 3))
    return Descent([c.lr for c in chosen], target, starts, objective.behaviour)


def structural_similarity(content, picture, channel_axis, data_range):
    return 1 - float(np.abs(content - picture).mean()) / data_range


def peak_signal_noise_ratio(content, picture, data_range):
    return float(-10 * np.log10(np.square(content - picture).mean()))
