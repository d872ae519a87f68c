"""From what is inside to a grid: which cells, how they are scaled, what is written beside them."""

from collections.abc import Sequence

import numpy as np

from nstbench.pictures.images import Picture
from nstbench.visualize.grids import Cell, Grid, columns_for, in_rows
from nstbench.visualize.inside import Maps, Reconstruction

BRIGHT = 99  # percentile: at the maximum itself, one bright edge would leave all else dark


def filters(kernel: np.ndarray, network: str, weights: str) -> Grid:
    """`kernel` `(k, k, 3, n)` in RGB: grey is 0, and each filter's largest weight is full scale."""
    rows, columns, _, count = kernel.shape
    largest = np.maximum(np.abs(kernel).max(axis=(0, 1, 2)), np.finfo(np.float32).tiny)
    shown = 0.5 + 0.5 * kernel / largest
    cells = [Cell(shown[..., n], f"{n}   {largest[n]:.2g}") for n in range(count)]
    return Grid(
        f"The {count} filters of the first layer of {network}",
        f"{rows} x {columns} weights for red, green and blue ({weights}). Grey is 0; below each, "
        "its number and its largest weight, which is full colour.",
        in_rows(cells, columns_for(count)),
    )


def features(picture: Picture, maps: Maps, network: str, weights: str) -> Grid:
    """Each map from 0 (or its least value, where that is negative) to its `BRIGHT` percentile."""
    low = np.minimum(maps.values.min(axis=(0, 1)), 0)
    high = maps.values.max(axis=(0, 1))
    bright = np.percentile(maps.values, BRIGHT, axis=(0, 1))
    # A map that is dark but for a spot is scaled to the spot.
    span = np.where(bright > low, bright, high) - low
    shown = np.clip((maps.values - low) / np.maximum(span, np.finfo(np.float32).tiny), 0, 1)
    cells = [
        Cell(shown[..., n], _range(maps.first + n, low[n], high[n]), smooth=True)
        for n in range(maps.values.shape[-1])
    ]
    rows, columns, count = maps.values.shape
    signed = bool((low < 0).any())
    return Grid(
        f"{picture.name} in {maps.layer} of {network}",
        f"Channels {maps.first} to {maps.first + count - 1} of {maps.channels}, {rows} x {columns} "
        f"positions ({weights}). Below each, its number and its "
        f"{'range' if signed else 'largest value'}.\n"
        f"Each has a scale of its own: black is {'its least value' if signed else '0'}, the "
        f"brightest colour its {BRIGHT}th percentile and above.",
        in_rows(cells, columns_for(count)),
    )


def _range(number: int, low: float, high: float) -> str:
    return (
        f"{number}   {_short(low)} to {_short(high)}" if low < 0 else f"{number}   {_short(high)}"
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def content(target: Picture, made: Sequence[Reconstruction], steps: int, weights: str) -> Grid:
    """The target, then a column per layer; a row per pooling."""
    return Grid(
        f"What each layer knows of the content: {target.name}",
        f"From white noise to equal features in one layer; L-BFGS, {steps} steps ({weights}). "
        "Below each, the share of the distance that is left.",
        *_by_pooling(target, made, lambda each: each.layers[0]),
    )


def style(target: Picture, made: Sequence[Reconstruction], steps: int, weights: str) -> Grid:
    """The target, then a column for the first layer, the first two, ...; a row per pooling."""
    return Grid(
        f"What more and more layers know of the style: {target.name}",
        f"From white noise to equal Gram matrices; L-BFGS, {steps} steps ({weights}). "
        "Below each, the share of the distance that is left.",
        *_by_pooling(target, made, _up_to),
    )


def _up_to(made: Reconstruction) -> str:
    return made.layers[0] if len(made.layers) == 1 else f"... and {made.layers[-1]}"


def _by_pooling(target: Picture, made: Sequence[Reconstruction], label) -> tuple[list, list[str]]:
    rows: dict[str | None, list[Cell]] = {}
    for each in made:
        row = rows.setdefault(each.pooling, [Cell(target.pixels, target.name, smooth=True)])
        left = each.loss / each.start if each.start else 0.0
        row.append(Cell(each.pixels, f"{label(each)}\n{left:.2g}", smooth=True))
    names = {"max": "Max pooling", "avg": "Average pooling", None: "The network's own pooling"}
    return list(rows.values()), [names[pooling] for pooling in rows]
