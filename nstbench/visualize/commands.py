"""One function per command: options and settings in, the path of a picture out.

Each takes its `options`, the main `settings` and a `progress.Progress`.
"""

from pathlib import Path

from nstbench.pictures import images
from nstbench.run.progress import Progress
from nstbench.settings.config import Settings
from nstbench.visualize import grids, inside, sheets
from nstbench.visualize import options as shapes


def layers(
    options: shapes.Layers, settings: Settings, progress: Progress
) -> dict[str, tuple[int, int, int]]:
    """Shapes by layer, from the image upwards."""
    return inside.layer_shapes(settings, progress.download)


def filters(options: shapes.Filters, settings: Settings, progress: Progress) -> Path:
    """`filters_<network>.png`."""
    network = settings.extractor.name
    kernel = inside.filters(settings, progress.download)
    return _save(sheets.filters(kernel, network, _weights(settings)), settings, "filters", network)


def features(options: shapes.Features, settings: Settings, progress: Progress) -> Path:
    """`features_<network>_<layer>_<picture>.png`."""
    network = settings.extractor.name
    picture, maps = inside.features(
        settings, options.layer, options.first, options.count, progress.download
    )
    grid = sheets.features(picture, maps, network, _weights(settings))
    return _save(grid, settings, "features", network, maps.layer, picture.name)


def reconstruct_content(
    options: shapes.Reconstruct, settings: Settings, progress: Progress
) -> Path:
    """`reconstruct_content_<picture>.png`."""
    target = images.load(settings.content, settings.size, settings.keep_aspect)
    made = _made(inside.content_targets(options.layers), options, settings, progress)
    grid = sheets.content(target, made, options.steps, _weights(settings))
    return _save(grid, settings, "reconstruct_content", target.name)


def reconstruct_style(options: shapes.Reconstruct, settings: Settings, progress: Progress) -> Path:
    """`reconstruct_style_<picture>.png`."""
    target = images.load(settings.styles[0], settings.size, settings.keep_aspect)
    made = _made(inside.style_targets(options.layers), options, settings, progress)
    grid = sheets.style(target, made, options.steps, _weights(settings))
    return _save(grid, settings, "reconstruct_style", target.name)


def _made(targets, options, settings, progress) -> list[inside.Reconstruction]:
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
