"""One visit to a record: what is missing is measured, and what there is, is told."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from nstbench import engine as engines
from nstbench.cost import counts, output, record, step, update
from nstbench.cost.options import Competitor, Request
from nstbench.cost.record import Pair, Record, Visit
from nstbench.errors import LockedError, RecordError
from nstbench.optimizers import find, minimise, schedules
from nstbench.run import machine
from nstbench.settings import identity
from nstbench.transfer import problem as problems

OF_METHOD = ("optimizer", "lr", "schedule", "epochs", "steps_per_epoch")  # no part of the problem


class Session:
    """What one command does. Raises `NstbenchError` for whatever cannot be set up.

    `say` is told what is being done.
    """

    def __init__(self, request: Request, command: list[str], say: Callable[[str], None]):
        self.request, self.options, self._say = request, request.options, say
        self._command = command
        shared = request.shared
        self.engine = engines.load(shared.device, shared.precision)
        self._facts = {
            "devices": self.engine.devices(),
            "machine": machine.describe(),
            "versions": machine.versions(),
        }
        self._problem = {k: v for k, v in identity.identity(shared).items() if k not in OF_METHOD}
        same = {"host": machine.host(), "devices": self._facts["devices"]}
        digest = identity.digest([self._problem, same, self._facts["versions"]])
        out = Path(shared.out).expanduser()
        self.folder = out / "cost" / f"{shared.size}-{digest[:8]}"
        self.record: Record | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The folder for this process alone. Raises `LockedError`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock", timeout=0):
                yield
        except Timeout:
            raise LockedError(f"{self.folder} is being written by another process") from None
        except OSError as error:
            raise RecordError(f"cannot write in {self.folder}: {error.strerror}") from error

    def measure(self) -> list[Path]:
        """Measure what is missing; returns the paths of what was written.

        Whatever ends it, what was measured is on record.
        """
        self.record = record.load(self.folder) or Record(problem=self._problem, facts=self._facts)
        keys = {competitor.key for competitor in self.request.competitors}
        if self.options.force:
            self.record.forget(keys)
        for competitor in self.request.competitors:
            self.record.add(competitor)
        started, before = datetime.now(UTC).isoformat(timespec="seconds"), machine.load()
        begin, done = time.perf_counter(), len(self.record.visits)
        visit = Visit(started=started, seconds=0, disturbances=[], command=self._command)
        self.record.visits.append(visit)
        try:
            worked = self._measure_missing()
        finally:
            visit.seconds = round(time.perf_counter() - begin, 1)
            visit.disturbances = machine.timing_notes(before, machine.load())
            self.record.save(self.folder)
        if not worked:  # a look only
            del self.record.visits[done:]
        return output.write(self.record, self.folder, self.options.margin, self.options.alpha)

    def told(self) -> list[str]:
        """One sentence for each pair asked for, and how disturbed the machine was."""
        asked = [{a.key, b.key} for a, b in self.request.pairs]
        lines = [v["sentence"] for v in self.record.verdicts if {v["a"], v["b"]} in asked]
        disturbed = self.record.visits[-1].disturbances if self.record.visits else []
        return [*lines, *(f"disturbed: {each}" for each in disturbed)]

    def _measure_missing(self) -> bool:
        pairs = [self.record.pair(a.key, b.key) for a, b in self.request.pairs]
        left = [pair for pair in pairs if step.is_open(pair, self.options)]
        methods = [self.record.methods[each.key] for each in self.request.competitors]
        is_known = all(m.counts and (m.update or m.without_update) for m in methods)
        if not is_known:
            self._measure_updates()
        compares = bool(left) and self.options.minutes > 0
        if compares:
            self._measure_steps(left)
        return compares or not is_known

    def _measure_updates(self) -> None:
        """Counts, and the update alone of all competitors at once."""
        shape = self._content_shape()
        gradient = update.gradient_of(shape)
        makers = {each.key: self._maker(each) for each in self.request.competitors}
        for key, make in makers.items():
            self._say(f"counting what {self.record.methods[key].label} moves")
            self.record.methods[key].counts = counts.count(make(), self.engine, gradient)
        self._say("timing the updates alone")
        options = self.options
        found = update.measure(makers, self.engine, gradient, options.rounds, options.block_s)
        for key in makers:
            method = self.record.methods[key]
            method.update = found.difference(key, update.NOTHING, options.quietest)
            method.without_update = found.left_out.get(key)
        for a, b in self.request.pairs:
            pair = self.record.pair(a.key, b.key)
            pair.update = found.difference(pair.a, pair.b, options.quietest)

    def _measure_steps(self, pairs: list[Pair]) -> None:
        self._say("loading the network")
        wanted = {key for pair in pairs for key in (pair.a, pair.b)}
        with self.engine.scope():
            problem = problems.load(self.request.shared, self.engine)
            runners = {
                each.key: step.Runner(each.label, self._starter(each, problem))
                for each in self.request.competitors
                if each.key in wanted
            }
            for runner in runners.values():
                self._say(f"compiling {runner.label}")
                runner.warm_up(self.engine, self.options.sample_s, time.perf_counter)
            self._say(f"comparing whole steps, at most {self.options.minutes:g} minutes")
            clock = step.Clock(time.perf_counter() + 60 * self.options.minutes)
            random = np.random.default_rng([update.SEED, len(self.record.visits)])
            try:
                step.decide(
                    pairs, runners, self.engine, self.options, clock, random, self._keep
                )  # fmt: skip
            finally:
                self._take_over(runners)

    def _take_over(self, runners: dict[str, step.Runner]) -> None:
        """What the steps of each competitor tell beside the comparisons."""
        for key, runner in runners.items():
            method = self.record.methods[key]
            if runner.seconds:
                method.step_s = float(np.median(runner.seconds))
                method.counts.evaluations = round(runner.evaluations / runner.steps, 2)
            runner.close()

    def _keep(self) -> None:
        self.record.save(self.folder)
        rows = output.verdicts(self.record, self.options.margin, self.options.alpha)
        asked = [{a.key, b.key} for a, b in self.request.pairs]
        still = [v for v in rows if {v["a"], v["b"]} in asked and v["decision"] == "not decided"]
        for row in still:
            self._say(row["sentence"])

    def _content_shape(self) -> tuple[int, ...]:
        from nstbench.pictures import images

        shared = self.request.shared
        return images.load(shared.content, shared.size, shared.keep_aspect).pixels.shape

    def _maker(self, competitor: Competitor) -> Callable:
        """What makes the competitor's optimizer anew."""
        settings = competitor.settings

        def make():
            steps = settings.epochs * settings.steps_per_epoch
            schedule = schedules.build(settings.schedule, steps)
            return find.create(settings.optimizer, settings.lr, schedule, self.engine)

        return make

    def _starter(self, competitor: Competitor, problem) -> Callable[[], minimise.Minimisation]:
        """What puts the competitor at the start of the shared problem."""
        settings, make = competitor.settings, self._maker(competitor)

        def start():
            image = problems.start_image(settings, problem.content.pixels)
            box = settings.optimizer.box
            return minimise.create(self.engine, problem.objective, image, make(), box)

        return start
