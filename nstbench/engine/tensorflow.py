"""TensorFlow: XLA-compiled `tf.function`s; weights are arguments, variables stay outside."""

import atexit
import functools
import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import tensorflow as tf

from nstbench.engine import memory, programs
from nstbench.engine.base import SharedEngine, extra_arguments, project, total, values_of

FLAGS, FOLDER = "TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory"
FOR_CPUS = "--tf_xla_persistent_cache_device_types=CPU"


class TensorFlowEngine(SharedEngine):
    """See `base.Engine`; compiled by XLA, but for double precision."""

    def __init__(self, device: str, precision: str, purpose: str = ""):
        _lend(purpose)  # before anything else: whatever looks for devices makes XLA read its flags
        super().__init__(device, precision)
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
        memory.keep_heap()
        # Captured tensors reach XLA as arguments, too, but are not checked anew at every call:
        # 0.1 ms instead of 0.9 ms for a network's fifty.
        evaluate = self.gradient(terms)
        return self.compile(lambda images: evaluate(images, parameters))

    def compile_update(self, terms, parameters, optimizer, image, box):
        memory.keep_heap()
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


@functools.cache
def _lend(purpose: str) -> None:
    """Give XLA the programs kept for `purpose`, and keep what it compiles when the process ends.

    XLA believes its folder and fails over a damaged file there; so it gets a new one, which no
    other process reads, with what is believed of the kept ones. It asks for the folder once in a
    process: the first purpose counts.
    """
    kept = programs.kept("tensorflow", ("tensorflow",))
    purpose = hashlib.sha256(purpose.encode(errors="replace")).hexdigest()[:16]  # part of a name
    given = os.environ.get(FLAGS)
    if kept is None or FOLDER in (given or ""):
        return
    folder = Path(tempfile.mkdtemp(prefix="nstbench-programs-"))
    wanted = [name for name in kept.names() if name.startswith(f"{purpose}/")]
    lent = {name: program for name in wanted if (program := kept.get(name)) is not None}
    for name, program in lent.items():
        (folder / Path(name).name).write_bytes(program)
    atexit.register(_take_back, kept, folder, purpose, frozenset(lent))
    os.environ[FLAGS] = f"{given or ''} {FOLDER}={folder} {FOR_CPUS}".strip()
    tf.config.optimizer.get_jit()  # reads the flags; no process that this one starts inherits them
    os.environ.pop(FLAGS)
    if given is not None:
        os.environ[FLAGS] = given


def _take_back(kept: programs.Programs, folder: Path, purpose: str, lent: frozenset[str]) -> None:
    with suppress(OSError):
        for path in folder.glob("*.pb"):
            name = f"{purpose}/{path.name}"
            if name not in lent:
                kept.put(name, path.read_bytes())
    shutil.rmtree(folder, ignore_errors=True)
