"""JAX: `jax.jit` over the stateless form; the step returns new state, which is then stored."""

import hashlib
from contextlib import suppress

import jax
from jax.experimental import serialize_executable
from keras import ops

from nstbench.engine import memory, programs
from nstbench.engine.base import SharedEngine, extra_arguments, project, total, values_of

LEAST = 1 << 16  # bytes of a program that takes longer to compile than to read


class JaxEngine(SharedEngine):
    """`jax.jit` over the stateless form: the step returns new state, which is then stored."""

    def __init__(self, device: str, precision: str, purpose: str = ""):
        super().__init__(device, precision)
        matmul = "tensorfloat32" if precision == "tf32" else "highest"
        jax.config.update("jax_default_matmul_precision", matmul)
        jax.config.update("jax_enable_x64", precision == "float64")
        on_cpu = self.devices() == ["CPU"]
        self._programs = programs.kept("jax", ("jax", "jaxlib")) if on_cpu else None

    def compile(self, function):
        return _Compiled(jax.jit(function), self._programs)

    def gradient(self, terms):
        def summed(images, parameters):
            values = terms(images, parameters)
            # The sum over pictures: each picture's loss depends on its own picture only.
            return ops.sum(total(values)), values

        differentiate = jax.value_and_grad(summed, has_aux=True)

        def evaluate(images, parameters):
            (_, values), gradients = differentiate(images, parameters)
            return values_of(values, gradients), gradients

        return evaluate

    def compile_update(self, terms, parameters, optimizer, image, box):
        memory.keep_heap()
        evaluate = self.gradient(terms)

        def update(pixels, state, parameters):
            values, gradients = evaluate(pixels[None], parameters)
            extra = extra_arguments(optimizer, values)
            (pixels,), state = optimizer.stateless_apply(state, [gradients[0]], [pixels], **extra)
            return values, project(pixels, box), state

        compiled = self.compile(update)

        def step():
            state = [variable.value for variable in optimizer.variables]
            values, pixels, state = compiled(image.value, state, parameters)
            image.assign(pixels)
            for variable, value in zip(optimizer.variables, state, strict=True):
                variable.assign(value)
            return values

        return step

    def synchronise(self):
        # JAX has no "wait for everything": what is still being computed is some live array.
        for array in jax.live_arrays():
            array.block_until_ready()

    def accelerators(self) -> list[str]:
        return [d.device_kind for d in jax.devices() if d.platform != "cpu"]


class _Compiled:
    """A jitted function whose program for its first arguments may come from `kept` ones.

    Any other arguments compile as ever.
    """

    def __init__(self, jitted, kept: programs.Programs | None):
        self._jitted, self._kept = jitted, kept
        self._first = jitted if kept is None else None

    def __call__(self, *arguments):
        if self._first is None:
            self._first = self._program(self._jitted.lower(*arguments))
        try:
            return self._first(*arguments)
        except (TypeError, ValueError):  # arguments of another shape or type
            return self._jitted(*arguments)

    def lower(self, *arguments):
        """As a jitted function's own."""
        return self._jitted.lower(*arguments)

    def _program(self, lowered):
        """What is kept for this text, else what it is compiled to, which is then kept."""
        name = hashlib.sha256(lowered.as_text().encode()).hexdigest()
        held = self._kept.get(name)
        if held is not None:
            with suppress(Exception):  # believed, and yet no program of this JAX
                inputs = jax.tree.structure(lowered.args_info)
                return serialize_executable.deserialize_and_load(held, inputs, lowered.out_tree)
        compiled = lowered.compile()
        with suppress(Exception):  # some cannot be written down
            program, *_ = serialize_executable.serialize(compiled)
            if len(program) >= LEAST:
                self._kept.put(name, program)
        return compiled
