"""From settings to one problem: pictures, network, objective and start image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nstbench import networks
from nstbench.engine.base import Engine
from nstbench.errors import SettingsError
from nstbench.networks import Extractor, Progress
from nstbench.networks.names import DEFAULT_LAYERS
from nstbench.networks.prepared import Begun
from nstbench.pictures import images
from nstbench.settings.model import Settings
from nstbench.transfer import objective, terms


@dataclass(frozen=True)
class Problem:
    """What the optimizers of a comparison share; `content` and `styles` as the run sees them.

    `layers` are those that each term reads, whether somebody named them or they are the default.
    """

    content: images.Picture
    styles: list[images.Picture]
    extractor: Extractor
    objective: objective.Objective
    layers: Mapping[str, Sequence[str]] = field(default_factory=dict)


def load(
    settings: Settings,
    engine: Engine,
    progress: Progress | None = None,
    begun: Begun | None = None,
) -> Problem:
    """Read the pictures, load the network and extract the targets.

    `begun` is what of the network is being prepared already; see `prepared.begin`.

    Raises `ImageError`, `WeightsError` or `SettingsError`, each in one line.
    """
    content = images.load(settings.content, settings.size, settings.keep_aspect)
    # A style keeps its own proportions: its statistics know no positions.
    styles = [images.load(style, settings.size, settings.keep_aspect) for style in settings.style]
    if settings.keep_colours:
        content, *styles = [images.luminance(picture) for picture in (content, *styles)]
    return _build(settings, content, styles, engine, engine.once, progress, begun)


def measured_by(settings: Settings, problem: Problem, engine: Engine) -> Problem:
    """`problem`'s pictures under the network and objective of `settings`, for a single look.

    Nothing is compiled: that takes longer than the few passes it would speed up.
    """
    uncompiled = settings.model_copy(update={"kernels": "direct"})
    return _build(uncompiled, problem.content, problem.styles, engine, lambda function: function)


def _build(
    settings: Settings,
    content: images.Picture,
    styles: list[images.Picture],
    engine: Engine,
    compile: Callable,
    progress: Progress | None = None,
    begun: Begun | None = None,
) -> Problem:
    wanted = settings.objective.terms
    needs_defaults = any(DEFAULT_LAYERS in term.get("layers", ()) for term in wanted.values())
    extractor = networks.build(
        settings.extractor.name,
        settings.extractor.target,
        settings.extractor.options,
        weights=settings.weights,
        kernels=engine.kernels(settings.kernels),
        seed=settings.seed,
        progress=progress,
        taps=None if needs_defaults else objective.layers_of(_terms(wanted)),
        pixels=content.pixels[..., 0].size,
        begun=begun,
    )
    if needs_defaults:
        wanted = _with_layers(wanted, extractor)
        extractor = networks.scaled(extractor, *content.pixels.shape[:2])
    blend = settings.style_blend or [1.0] * len(styles)
    chosen = _terms(wanted)
    built = objective.build(
        extractor,
        chosen,
        content.pixels,
        [(style.pixels, weight) for style, weight in zip(styles, blend, strict=True)],
        compile=compile,
        dtype=engine.dtype,
        network_dtype=engine.network_dtype,
    )
    layers = {name: tuple(term.layers) for name, (term, _) in chosen.items()}
    return Problem(content, styles, extractor, built, layers)


def _terms(wanted: Mapping[str, dict[str, Any]]) -> dict[str, tuple[terms.Term, float]]:
    return {name: terms.create(name, term) for name, term in wanted.items()}


def _with_layers(
    wanted: Mapping[str, dict[str, Any]], extractor: Extractor
) -> dict[str, dict[str, Any]]:
    """The terms with the layers that suit this network where they ask for them."""
    defaults = networks.default_layers(extractor)
    chosen = {}
    for name, term in wanted.items():
        chosen[name] = term
        if DEFAULT_LAYERS in term.get("layers", ()):
            kind = term.get("target", name)
            if kind not in defaults:
                raise SettingsError(f"objective.{name}.layers: name layers of {extractor.name}")
            chosen[name] = term | {"layers": defaults[kind]}
    return chosen


def start_image(settings: Settings, content: np.ndarray) -> np.ndarray:
    """Where the optimisation starts: float32, the content's shape, in [0, 1].

    `noise` is uniform and depends on seed and repeat alone, so all competitors of one repeat start
    from the same picture.
    """
    if settings.init == "content":
        return content
    if settings.init == "grey":
        return np.full_like(content, 0.5)
    if settings.init == "noise":
        noise = np.random.default_rng([settings.seed, settings.repeat]).random(content.shape)
        return noise.astype(np.float32)
    picture = images.load(settings.init, settings.size, settings.keep_aspect)
    if picture.pixels.shape != content.shape:
        raise images.ImageError(
            f"init={settings.init} has shape {picture.pixels.shape}, the content {content.shape}"
        )
    return picture.pixels
