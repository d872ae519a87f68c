"""Competitors by names that tell them apart."""

from collections import Counter
from collections.abc import Sequence

from nstbench.notation import setting


def told_apart(names: Sequence[Sequence[str]]) -> list[str]:
    """For each competitor the first of its names that no other one has; the last at worst."""
    levels = [Counter(level) for level in zip(*names, strict=True)]
    return [
        next((name for name, level in zip(own, levels, strict=True) if level[name] == 1), own[-1])
        for own in names
    ]


def with_rate(label: str, lr: float | None) -> str:
    """ "RMSprop 0.001"; a method without a rate keeps its label."""
    return label if lr is None else f"{label} {setting(lr)}"
