"""TensorFlow: XLA-compiled `tf.function`s; weights are arguments, variables stay outside."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import tensorflow as tf

from nstbench.engine import programs
from nstbench.engine.base import SharedEngine, extra_arguments, project, total, values_of

FLAGS, FOLDER = "TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory"


class TensorFlowEngine(SharedEngine):
    """See `base.Engine`; compiled by XLA, but for double precision."""

    def __init__(self, device: str, precision: str):
        super().__init__(device, precision)
        if self.devices() == ["CPU"]:
            _lend(programs.kept("tensorflow", ("tensorflow",)))
        tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")

    def compile(self, function):
        # XLA's double precision convolution on a CPU is a plain loop: minutes for one evaluation.
        use_xla = self.dtype != "float64"
        return tf.function(function, jit_compile=use_xla, autograph=False)

    def gradient(self, terms):
        def evaluate(images, parameters):
            with tf.GradientTape() as tape:
                tape.watch(images)
                values = terms(images, parameters)
                loss = total(values)
            gradients = tape.gradient(loss, images)
            return values_of(values, gradients), gradients

        return evaluate

    def once(self, function):
        # Op by op: compiling the network takes XLA longer than this one pass.
        return function

    def compile_evaluation(self, terms, parameters):
        # Captured tensors reach XLA as arguments, too, but are not checked anew at every call:
        # 0.1 ms instead of 0.9 ms for a network's fifty.
        evaluate = self.gradient(terms)
        return self.compile(lambda images: evaluate(images, parameters))

    def compile_update(self, terms, parameters, optimizer, image, box):
        evaluate = self.gradient(terms)

        def update():
            values, gradients = evaluate(image.value[None], parameters)
            optimizer.apply([gradients[0]], [image], **extra_arguments(optimizer, values))
            image.assign(project(image.value, box))
            return values

        # One trace, called without looking for the one that fits the arguments.
        return self.compile(update).get_concrete_function()

    def synchronise(self):
        tf.test.experimental.sync_devices()

    def accelerators(self) -> list[str]:
        details = tf.config.experimental.get_device_details
        gpus = tf.config.list_physical_devices("GPU")
        return [details(gpu).get("device_name", gpu.name) for gpu in gpus]


def _lend(kept: programs.Programs | None) -> None:
    """Give XLA the kept programs to read, and take what it compiles when the process ends.

    XLA believes its folder and fails over a damaged file there; so it gets a new one, which no
    other process reads, with what `kept` believes.
    """
    if kept is None or FOLDER in os.environ.get(FLAGS, ""):
        return
    folder = Path(tempfile.mkdtemp(prefix="nstbench-programs-"))
    lent = set()
    for name in kept.names():
        program = kept.get(name)
        if program is not None:
            (folder / name).write_bytes(program)
            lent.add(name)
    os.environ[FLAGS] = f"{os.environ.get(FLAGS, '')} {FOLDER}={folder}".strip()
    atexit.register(_take_back, kept, folder, lent)


def _take_back(kept: programs.Programs, folder: Path, lent: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in lent:
            kept.put(path.name, path.read_bytes())
    shutil.rmtree(folder, ignore_errors=True)
