"""From seconds to statistics, and from statistics to goals met or not. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np

from nstbench.speed.options import LABELS, OTHER_LOOPS, Goal, Options


@dataclass(frozen=True)
class Fresh:
    """A process of its own: seconds from its start to the first step's end, and peak memory.

    `again_s` are those of a second start, with the programs that the first one compiled.
    """

    start_s: float
    peak_bytes: int | None
    again_s: float | None = None


@dataclass
class Session:
    """All that was measured. Keys are (peer, size); seconds are one list entry per round."""

    evaluation: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    step: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    fresh: dict[tuple[str, int], Fresh] = field(default_factory=dict)
    agreement: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)
    missing: dict[tuple[str, int], str] = field(default_factory=dict)  # why there is no row
    notes: list[str] = field(default_factory=list)  # what a reader of the numbers must know
    products: dict[str, list[float]] = field(default_factory=dict)  # seconds of a matrix product
    product_flops: float = 0.0
    overhead_s: float | None = None  # the harness's own, per step
    curve: dict[int, float] = field(default_factory=dict)  # seconds per evaluation, by size

    @property
    def sizes(self) -> list[int]:
        return sorted({size for _, size in self.evaluation})

    @property
    def rate(self) -> float | None:
        """The machine's best float32 matrix product, in floating-point operations per second."""
        best = min((min(seconds) for seconds in self.products.values()), default=None)
        return self.product_flops / best if best else None


@dataclass(frozen=True)
class Summary:
    """Median of the rounds, and the quartiles' distance as a share of it."""

    median: float
    spread: float


def summary(seconds: Sequence[float]) -> Summary:
    low, high = np.quantile(seconds, [0.25, 0.75])
    return Summary(median(seconds), float(high - low) / median(seconds))


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over the rounds of ours / theirs: both were measured moments apart, so what slows the
    machine for a while cancels."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def direct_flops(kernels: Sequence[tuple[int, int, int, int]], pools: Sequence[int], size: int):
    """Operations of one loss and gradient with direct convolutions at `size` x `size`.

    kernels: shapes (h, w, C, K) in order; `pools`: how many halvings come before each. A product
    and its sum are two operations; the gradient to the input costs as much as the way forward.
    """
    return sum(
        2 * 2 * h * w * c * k * (size // 2**halvings) ** 2
        for (h, w, c, k), halvings in zip(kernels, pools, strict=True)
    )


def vgg_flops(size: int) -> float:
    """`direct_flops` of VGG-19 up to block5_conv2, the deepest layer of the report's objective."""
    widths = [64] * 2 + [128] * 2 + [256] * 4 + [512] * 6
    kernels = [(3, 3, c, k) for c, k in zip([3, *widths], widths, strict=False)]
    return direct_flops(kernels, [0] * 2 + [1] * 2 + [2] * 4 + [3] * 4 + [4] * 2, size)


def fitted_exponent(values: Mapping[int, float]) -> float | None:
    """p of value = c * pixels^p by least squares over the logarithms; None below two sizes."""
    if len(values) < 2:
        return None
    pixels = np.log([float(size) ** 2 for size in values])
    return float(np.polyfit(pixels, np.log(list(values.values())), 1)[0])


def ratio(session: Session, goal: Goal) -> float | None:
    """Seconds per evaluation of our row over the peer's."""
    ours, theirs = (session.evaluation.get((p, goal.size)) for p in (goal.ours, goal.peer))
    return paired_ratio(ours, theirs) if ours and theirs else None


def ratio_to_fastest(session: Session, goal: Goal) -> float | None:
    """The largest such ratio among the other loops: that to the fastest of them."""
    ratios = (ratio(session, replace(goal, peer=peer)) for peer in OTHER_LOOPS)
    return max((each for each in ratios if each is not None), default=None)


def peak_gb(session: Session, goal: Goal) -> float | None:
    """nstbench's peak memory in 10^9 bytes."""
    fresh = session.fresh.get(("nstbench", goal.size))
    return fresh.peak_bytes / 1e9 if fresh and fresh.peak_bytes else None


def memory_exponent(session: Session, goal: Goal) -> float | None:
    """p of nstbench's peak memory = c * pixels^p."""
    ours = {size: f for (peer, size), f in session.fresh.items() if peer == "nstbench"}
    return fitted_exponent({size: f.peak_bytes for size, f in ours.items() if f.peak_bytes})


def overhead_share(session: Session, goal: Goal) -> float | None:
    """The harness's seconds per step over those of an Adam step."""
    steps = session.step.get(("nstbench", goal.size))
    return session.overhead_s / median(steps) if steps and session.overhead_s is not None else None


def start_s(session: Session, goal: Goal) -> float | None:
    """Seconds from nstbench's command to its first epoch's row."""
    fresh = session.fresh.get(("nstbench", goal.size))
    return fresh.start_s if fresh else None


def again_s(session: Session, goal: Goal) -> float | None:
    """The same for the second time, when the programs of the first are kept."""
    fresh = session.fresh.get(("nstbench", goal.size))
    return fresh.again_s if fresh else None


MEASURES = {
    measure.__name__: measure
    for measure in (
        ratio, ratio_to_fastest, peak_gb, memory_exponent, overhead_share, start_s, again_s,
    )
}  # fmt: skip


def value(session: Session, goal: Goal) -> float | None:
    """What the goal speaks of; None where it was not measured."""
    return MEASURES[goal.measure](session, goal)


def verdict(found: float | None, goal: Goal) -> str:
    """ "met", "not met" or "not measured"."""
    if found is None:
        return "not measured"
    return "met" if found <= goal.most else "not met"


def differing(session: Session, options: Options) -> dict[tuple[str, int], tuple[float, float]]:
    """Who computes something else than nstbench, and by how much: loss and gradient, relative."""
    bounds = {"direct": options.own_tolerance}
    return {
        (peer, size): found
        for (peer, size), found in session.agreement.items()
        if not max(found) <= bounds.get(peer, options.tolerance)
    }


def rows(session: Session, options: Options) -> list[dict[str, object]]:
    """The table: a row for each competitor and size; None where nothing was measured."""
    return [_row(session, options, *key) for key in sorted(session.evaluation, key=_by_size)]


def _by_size(key: tuple[str, int]) -> tuple[int, int]:
    return key[1], list(LABELS).index(key[0])


def _row(session: Session, options: Options, peer: str, size: int) -> dict[str, object]:
    evaluations, steps = session.evaluation[peer, size], session.step[peer, size]
    ours = session.evaluation.get(("nstbench", size))
    rate, fresh = session.rate, session.fresh.get((peer, size))
    each, step = summary(evaluations), summary(steps)
    loss, gradient = session.agreement.get((peer, size), (None, None))
    return {
        "peer": LABELS[peer],
        "size": size,
        "evaluation_s": each.median,
        "evaluation_spread": each.spread,
        "step_s": step.median,
        "step_spread": step.spread,
        "nstbench_over_this": paired_ratio(ours, evaluations) if ours else None,
        "floor_share": vgg_flops(size) / rate / each.median if rate else None,
        "start_s": fresh.start_s if fresh else None,
        "again_s": fresh.again_s if fresh else None,
        "peak_gb": fresh.peak_bytes / 1e9 if fresh and fresh.peak_bytes else None,
        "loss_difference": loss,
        "gradient_difference": gradient,
        "differs": (peer, size) in differing(session, options),
    }
