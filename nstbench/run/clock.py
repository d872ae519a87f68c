"""Named stopwatches that wait for the device before every reading."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


class Clocks:
    """Stopwatches that share out the seconds of a run, each second to one of them or to none.

    `now` is a clock that never jumps (seconds, any origin). `synchronise` returns when the device
    has finished what it was given; it is called before every reading, so that work is charged to
    the stopwatch it was started under. `already` are the `seconds` of earlier sessions of the same
    run, `age` the seconds that this process had lived before the clocks were made: they are on the
    stopwatch `import`.

    A stopwatch started inside another one pauses the outer one; so the stopwatches and `rest`
    add up to `total`.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.perf_counter,
        synchronise: Callable[[], None] = lambda: None,
        already: Mapping[str, float] | None = None,
        age: float = 0.0,
    ):
        earlier = dict(already or {})
        self._now, self._synchronise = now, synchronise
        self._before = earlier.pop("total", 0.0) + age
        self._seconds: dict[str, float] = earlier
        if age:
            self._seconds["import"] = earlier.get("import", 0.0) + age
        self._running: list[str] = []
        self._start = self._last = now()

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Charge the seconds of the `with` block to stopwatch `name`."""
        self._read()
        self._running.append(name)
        try:
            yield
        finally:
            self._read()
            self._running.pop()

    @property
    def total(self) -> float:
        """Seconds since the process started, plus those of earlier sessions."""
        return self._before + self._now() - self._start

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds on every stopwatch that ran so far, and `total`. Read it outside `measure`."""
        return self._seconds | {"total": self.total}

    @property
    def rest(self) -> float:
        """Seconds that no stopwatch measured: the complement of the measured regions."""
        return self.total - sum(self._seconds.values())

    def _read(self) -> None:
        self._synchronise()
        now = self._now()
        if self._running:
            name = self._running[-1]
            self._seconds[name] = self._seconds.get(name, 0.0) + now - self._last
        self._last = now
