"""What a run can begin while the framework is still being imported. Needs none."""

from nstbench import hardware
from nstbench.networks import prepared
from nstbench.settings.model import Settings


def begin(settings: Settings) -> prepared.Begun | None:
    """Read the weights and prepare the layers in the background, where that is known already.

    Only its file tells how many pixels a picture has whose proportions are kept.
    """
    if settings.extractor.target or settings.keep_aspect:
        return None
    kind = hardware.kind(settings.device)
    kernels = hardware.kernels(settings.kernels, kind, settings.backend, settings.precision)
    pixels = None if kernels == "direct" else settings.size**2
    return prepared.begin(settings.extractor.name, settings.weights, settings.seed, pixels)
