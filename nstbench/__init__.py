"""nstbench: an optimizer benchmark on one real problem, neural style transfer with VGG-19."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nstbench.report.data.frames import results
    from nstbench.style_transfer import NeuralStyleTransfer

__all__ = ["NeuralStyleTransfer", "results"]


def __getattr__(name: str):
    # Here, not above: the class needs Keras, the frames pandas, and `--help` must answer at once.
    if name == "NeuralStyleTransfer":
        from nstbench.style_transfer import NeuralStyleTransfer

        return NeuralStyleTransfer
    if name == "results":
        from nstbench.report.data.frames import results

        return results
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
