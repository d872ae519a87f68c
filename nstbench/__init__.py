"""nstbench: an optimizer benchmark on one real problem, neural style transfer with VGG-19."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nstbench.style_transfer import NeuralStyleTransfer

__all__ = ["NeuralStyleTransfer"]


def __getattr__(name: str):
    # Here, not above: the class needs Keras, and `--help` must answer at once.
    if name == "NeuralStyleTransfer":
        from nstbench.style_transfer import NeuralStyleTransfer

        return NeuralStyleTransfer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
