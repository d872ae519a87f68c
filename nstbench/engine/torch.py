"""PyTorch: eager, with autograd."""

import torch

from nstbench import errors
from nstbench.engine import memory
from nstbench.engine.base import SharedEngine, extra_arguments, project, total, values_of


class TorchEngine(SharedEngine):
    """Eager PyTorch with autograd."""

    def __init__(self, device: str, precision: str, purpose: str = ""):
        if precision == "float64":
            raise errors.SettingsError(
                "precision=float64: Keras's operations on PyTorch make float32 of it; "
                "use KERAS_BACKEND=tensorflow or jax"
            )
        super().__init__(device, precision)
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"

    def compile(self, function):
        return function

    def gradient(self, terms):
        def evaluate(images, parameters):
            images = images.detach().requires_grad_(True)
            with torch.enable_grad():
                values = terms(images, parameters)
                (gradients,) = torch.autograd.grad(total(values).sum(), images)
            values = {name: value.detach() for name, value in values.items()}
            return values_of(values, gradients), gradients

        return evaluate

    def compile_update(self, terms, parameters, optimizer, image, box):
        memory.keep_heap()
        evaluate = self.gradient(terms)

        def step():
            values, gradients = evaluate(image.value[None], parameters)
            with torch.no_grad():
                optimizer.apply([gradients[0]], [image], **extra_arguments(optimizer, values))
                image.assign(project(image.value, box))
            return values

        return step

    def synchronise(self):
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def accelerators(self) -> list[str]:
        cuda = torch.cuda
        return [cuda.get_device_name(i) for i in range(cuda.device_count())]
