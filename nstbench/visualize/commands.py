"""One function per command: options and settings in, the path of a picture out.

Each takes its `options`, the main `settings` and a `progress.Progress`.
"""

from pathlib import Path

from nstbench.pictures import images
from nstbench.run.progress import Progress
from nstbench.settings.model import Settings
from nstbench.visualize import grids, inside, sheets
from nstbench.visualize.options import Features, Options, Reconstruct


def layers(options: Options, settings: Settings, progress: Progress) -> dict[str, inside.Layer]:
    """Every layer, from the image upwards."""
    return inside.layers(settings, progress.download)


def filters(options: Options, settings: Settings, progress: Progress) -> Path:
    """`filters_<network>.png`."""
    network = settings.extractor.name
    kernel = inside.filters(settings, progress.download)
    return _save(sheets.filters(kernel, network, _weights(settings)), settings, "filters", network)


def features(options: Features, settings: Settings, progress: Progress) -> Path:
    """`features_<network>_<layer>_<picture>.png`."""
    network = settings.extractor.name
    picture, maps = inside.features(
        settings, options.layer, options.first, options.count, progress.download
    )
    grid = sheets.features(picture, maps, network, _weights(settings))
    return _save(grid, settings, "features", network, maps.layer, picture.name)


def reconstruct_content(options: Reconstruct, settings: Settings, progress: Progress) -> Path:
    """`reconstruct_content_<picture>.png`."""
    target = images.load(settings.content, settings.size, settings.keep_aspect)
    made = _made(options, settings, progress, growing=False)
    grid = sheets.content(target, made, options.steps, _weights(settings))
    return _save(grid, settings, "reconstruct_content", target.name)


def reconstruct_style(options: Reconstruct, settings: Settings, progress: Progress) -> Path:
    """`reconstruct_style_<picture>.png`."""
    target = images.load(settings.style[0], settings.size, settings.keep_aspect)
    made = _made(options, settings, progress, growing=True)
    grid = sheets.style(target, made, options.steps, _weights(settings))
    return _save(grid, settings, "reconstruct_style", target.name)


def _made(
    options: Reconstruct, settings: Settings, progress: Progress, growing: bool
) -> list[inside.Reconstruction]:
    targets = inside.targets(settings, options.term, options.layers, growing)
    return list(
        inside.reconstruct(
            settings, targets, options.poolings, options.steps, progress.stage, progress.download
        )
    )


def _weights(settings: Settings) -> str:
    return f"{settings.weights} weights"


def _save(grid: grids.Grid, settings: Settings, *names: str) -> Path:
    stems = [Path(name).stem if index else name for index, name in enumerate(names)]
    return grids.save(grid, Path(settings.out) / ("_".join(stems) + ".png"))
