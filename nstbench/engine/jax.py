"""JAX: `jax.jit` over the stateless form; the step returns new state, which is then stored."""

import jax
from keras import ops

from nstbench.engine.base import SharedEngine, extra_arguments, project, total, values_of


class JaxEngine(SharedEngine):
    """`jax.jit` over the stateless form: the step returns new state, which is then stored."""

    def __init__(self, device: str, precision: str):
        super().__init__(device, precision)
        matmul = "tensorfloat32" if precision == "tf32" else "highest"
        jax.config.update("jax_default_matmul_precision", matmul)
        jax.config.update("jax_enable_x64", precision == "float64")

    def compile(self, function):
        return jax.jit(function)

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
