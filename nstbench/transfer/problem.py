"""From settings to one problem: pictures, network, objective and start image."""

from dataclasses import dataclass, replace

import numpy as np

from nstbench.networks import extractors
from nstbench.networks.weights import Progress
from nstbench.pictures import images
from nstbench.run import schema
from nstbench.settings.config import Settings
from nstbench.transfer import objective


@dataclass(frozen=True)
class Problem:
    """What the optimizers of a comparison share; `content` and `styles` as the run sees them."""

    content: images.Picture
    styles: list[images.Picture]
    extractor: extractors.Extractor
    objective: objective.Objective


def load(settings: Settings, engine, progress: Progress | None = None) -> Problem:
    """Read the pictures, load the network and extract the targets.

    Raises `ImageError`, `WeightsError` or `SettingsError`, each in one line.
    """
    content = images.load(settings.content, settings.size, settings.keep_aspect)
    # A style keeps its own proportions: its statistics know no positions.
    styles = [images.load(style, settings.size, settings.keep_aspect) for style in settings.styles]
    if settings.keep_colours:
        content, *styles = [images.luminance(picture) for picture in (content, *styles)]
    return _posed(settings, content, styles, engine, engine.once, progress)


def measured_by(settings: Settings, problem: Problem, engine) -> Problem:
    """`problem`'s pictures under the network and objective of `settings`, for a single look.

    Nothing is compiled: that takes longer than the few passes it would speed up.
    """
    uncompiled = replace(settings, kernels="direct")
    return _posed(uncompiled, problem.content, problem.styles, engine, lambda function: function)


def _posed(settings, content, styles, engine, compile, progress=None) -> Problem:
    extractor = extractors.build(
        name=settings.extractor.name,
        weights=settings.weights,
        pooling=settings.extractor.pooling,
        kernels=engine.kernels(settings.kernels),
        seed=settings.seed,
        progress=progress,
        pixels=content.pixels[..., 0].size,
        taps=(*settings.objective.content.layers, *settings.objective.style.layers),
    )
    blend = settings.style_blend or [1.0] * len(styles)
    terms = settings.objective
    built = objective.build(
        extractor,
        content.pixels,
        [(style.pixels, weight) for style, weight in zip(styles, blend, strict=True)],
        objective.ContentTerm(
            tuple(terms.content.layers), terms.content.weight, terms.content.normalisation
        ),
        objective.StyleTerm(
            tuple(terms.style.layers),
            terms.style.weight,
            terms.style.normalisation,
            terms.style.statistic,
        ),
        objective.VariationTerm(
            terms.variation.weight, terms.variation.kind, terms.variation.scale
        ),
        compile=compile,
        dtype=engine.dtype,
        network_dtype=engine.network_dtype,
    )
    return Problem(content, styles, extractor, built)


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


def describe(picture: images.Picture) -> schema.Picture:
    """A picture's facts for the record."""
    height, width, _ = picture.pixels.shape
    return schema.Picture(name=picture.name, sha256=picture.sha256, height=height, width=width)
