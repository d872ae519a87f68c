"""A network of our own reading as its kernels want it: weights, and the arrays of fast layers.

Needs no framework: `begin` does it in the background while the framework is being imported, which
keeps one core only.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from nstbench import winograd
from nstbench.networks import weights as published
from nstbench.networks.weights import NETWORKS, NetworkWeights, Progress
from nstbench.winograd import Fast

CORES = 2  # layers that are prepared at a time


Asked = tuple[str, str, int, int | None]  # network, weights, seed, pixels


@dataclass(frozen=True)
class Prepared:
    """Weights, and by layer the arrays for `kernels.conv2d`, perhaps still on their way.

    A layer without arrays has direct kernels. Arrays are popped: they are four times the weights.
    """

    weights: NetworkWeights
    arrays: dict[str, Future[dict]] = field(default_factory=dict)


class Begun:
    """A network that is being prepared in the background, to be taken once."""

    def __init__(self, asked: Asked):
        self._asked = asked
        pool = ThreadPoolExecutor(1)
        self._result: Future[Prepared] | None = pool.submit(prepare, *asked)
        pool.shutdown(wait=False)

    def take(self, asked: Asked) -> Prepared | None:
        """What was prepared, if it is what is asked for. Raises as `prepare` does."""
        result, self._result = self._result, None
        return result.result() if result and asked == self._asked else None


def prepare(
    network: str,
    weights: str,
    seed: int = 0,
    pixels: int | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """`weights.load`; a VGG's fast kernels for pictures of `pixels`, direct ones for None."""
    loaded = published.load(network, weights, progress, seed)
    if pixels is None:
        return Prepared(loaded)
    pool = ThreadPoolExecutor(CORES)
    arrays = {
        name: pool.submit(winograd.prepare, *loaded.layers[name], fast)
        for name, fast in _fast_layers(loaded, pixels).items()
        if fast is not Fast.NOWHERE
    }
    pool.shutdown(wait=False)
    return Prepared(loaded, arrays)


def begin(network: str, weights: str, seed: int, pixels: int | None) -> Begun | None:
    """`prepare` in the background; None for a network or weights that have to be fetched first."""
    if network not in NETWORKS or not published.are_at_hand(network, weights):
        return None
    return Begun((network, weights, seed, pixels))


def _fast_layers(loaded: NetworkWeights, pixels: int) -> dict[str, Fast]:
    """Every block's pool doubles the pixels per step of the layers after it; none but a VGG's."""
    blocks = {
        name: int(name.partition("_")[0].removeprefix("block"))
        for name in loaded.layers
        if name.startswith("block")
    }
    return {name: winograd.choose(2 ** (n - 1), pixels) for name, n in blocks.items()}
