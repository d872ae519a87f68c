"""What callers of the time before `networks.build` still use; gone once they call that."""

from nstbench.networks.extractor import Extractor, Origin
from nstbench.networks.find import build as _build
from nstbench.networks.models import from_model

__all__ = ["Extractor", "Origin", "build", "from_model"]


def build(
    name, weights, pooling=None, kernels="direct", seed=0, progress=None, taps=None, pixels=65536
):
    options = {} if pooling is None else {"pooling": pooling}
    return _build(name, None, options, weights, kernels, seed, progress, taps, pixels)
