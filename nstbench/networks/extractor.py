"""What a network is to everything above it: an `Extractor`, which turns pictures into features.

A *tap* is the name of a tensor inside: `block1_conv1` after the ReLU, `block1_conv1.pre` before it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from nstbench import errors
from nstbench.networks.prepared import Begun, Prepared, prepare
from nstbench.networks.weights import Progress, digest


@dataclass(frozen=True)
class Origin:
    """Where the loaded weights came from, and the SHA-256 of their values."""

    source: str
    sha256: str


@dataclass(frozen=True)
class Extractor:
    """One network, ready to use. It takes images in [0, 1] and does its own preprocessing inside.

    `compute(image, parameters, layers)` is what `features` runs once the layers are known to
    exist, and it need not go deeper than they do; `parameters` is any structure of float32
    tensors, which travel as arguments into the compiled function; `layers` are all taps, from the
    image upwards. `defaults` are the layers to take where nobody chose any: `{"content": (...),
    "style": (...)}`. `weights` may be None in a network from outside: `build` fills it in.
    """

    name: str
    weights: Origin | None
    parameters: Any
    layers: tuple[str, ...]
    compute: Callable[[Any, Any, tuple[str, ...]], dict[str, Any]]
    defaults: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def features(self, image, parameters, layers: Sequence[str]) -> dict[str, Any]:
        """The tensors at the taps `layers`: `(N, h, w, C)` each, for images `(N, H, W, 3)`.

        Images are float32 RGB in [0, 1]; `parameters` are this extractor's, perhaps as arguments
        of a compiled function. Raises `SettingsError` for a tap that does not exist.
        """
        for layer in layers:
            if layer not in self.layers:
                raise errors.unknown(f"layer of {self.name}", layer, self.layers)
        return self.compute(image, parameters, tuple(layers))


@dataclass(frozen=True)
class Request:
    """What a network is built from; see `find.build` for the meaning of each."""

    name: str
    target: str | None
    options: Mapping[str, Any]
    weights: str
    kernels: str
    seed: int
    progress: Progress | None
    taps: Collection[str] | None
    pixels: int
    begun: Begun | None = None

    def prepared(self) -> Prepared:
        """The network as its kernels want it: what was begun, where that is what is asked for."""
        pixels = self.pixels if self.kernels == "fast" else None
        asked = (self.name, self.weights, self.seed, pixels)
        begun = self.begun.take(asked) if self.begun else None
        return begun or prepare(*asked, self.progress)

    def refuse_options(self) -> None:
        """`SettingsError` where there are options, for a network that has none."""
        for option, value in self.options.items():
            raise errors.SettingsError(
                f"{self.name} has no options: leave out extractor.{option}={value}"
            )


def values_digest(parameters: Any) -> str:
    """SHA-256 of the values of any structure of tensors, in its own order."""
    values = [np.asarray(ops.convert_to_numpy(each)) for each in keras.tree.flatten(parameters)]
    return digest({str(i): (value,) for i, value in enumerate(values)})
