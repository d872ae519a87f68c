"""How long a session will take, said before it starts."""

import time
from collections.abc import Sequence

import numpy as np

from nstbench.speed import goals
from nstbench.speed.goals import Session
from nstbench.speed.options import PEERS, Options

BUILD_S = 12.0  # to start a competitor's process, build and compile; seconds on two cores
START_S = 9.0  # the same with one step, as its users do
OF_FLOOR = 1.3  # a competitor's evaluation, of the direct floor: the mean of fast and slow


def product_rate(side: int = 1024, times: int = 3) -> float:
    """Floating-point operations per second of NumPy's float32 matrix product: a quick look."""
    a = np.ones((side, side), np.float32)
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    return 2.0 * side**3 / min(seconds)


def expected_s(options: Options, sizes: Sequence[int], session: Session, rate: float) -> float:
    """Seconds that are left of a session on a CPU whose matrix product runs at `rate`."""

    def evaluation_s(size: int) -> float:
        return OF_FLOOR * goals.vgg_flops(size) / rate

    def calls_s(seconds: float, rounds: int) -> float:
        sample = seconds * max(1, round(options.sample_s / seconds)) + options.pause_s
        return (2 + options.warm_up) * seconds + rounds * sample

    def size_s(size: int) -> float:
        begun = [len(t) for (_, s), t in session.evaluation.items() if s == size]
        left = options.rounds - max(begun, default=0)
        product = 2.0 * options.matrix**3 / rate
        each = BUILD_S + 2 * calls_s(evaluation_s(size), left)
        return left and len(options.peers) * each + 3 * calls_s(product, left)

    def start_s(peer: str, size: int) -> float:
        times = 1 if PEERS[peer].kernels is None else 2
        return times * (START_S + 2 * evaluation_s(size))

    total = sum(size_s(size) for size in sizes)
    curve = [size for size in options.curve if size not in session.curve]
    total += sum(BUILD_S + calls_s(evaluation_s(size), options.rounds) for size in curve)
    if options.fresh:
        started = ((p, s) for p in options.peers for s in sizes if (p, s) not in session.fresh)
        total += sum(start_s(peer, size) for peer, size in started)
    return total
