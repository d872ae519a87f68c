"""One run: settings in, completed run directory out.

Runs that share a problem can advance together as lanes of one batch (`run_together`); a single run
is a batch of one, so there is one way through the code.
"""

import json
import math
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np

from nstbench import optimizers
from nstbench import engine as engines
from nstbench.errors import NstbenchError, SettingsError, WeightsError
from nstbench.optimizers.base import Epoch, Evaluation
from nstbench.pictures import images
from nstbench.run import machine, schema
from nstbench.run.clock import Clocks
from nstbench.run.record import RunDirectory
from nstbench.run.schema import RunRecord, Status
from nstbench.settings import config
from nstbench.settings.config import Settings
from nstbench.transfer import problem as problems


class Watch(Protocol):
    """Who looks on. Every method may do nothing."""

    def stage(self, what: str) -> None:
        """The run has come to `what`, e.g. "compiling"."""

    def download(self, name: str, done: int, total: int | None) -> None:
        """`done` of `total` bytes of `name` have come."""

    def epoch(self, row: dict[str, Any], settings: Settings) -> None:
        """An epoch is on record: `row` has the keys `schema.EPOCH_COLUMNS`."""


@dataclass
class _Lane:
    """One run of the batch: its directory and how far it has come."""

    settings: Settings
    directory: RunDirectory
    created: str
    epoch: int = 0
    last: Evaluation | None = None  # of the last step
    evaluations: int = 0
    best: float = math.inf
    status: Status = Status.RUNNING
    error: str | None = None
    notes: list[str] = field(default_factory=list)
    finished_early: str | None = None
    end: tuple[np.ndarray, Evaluation] | None = None  # picture and loss where it ended

    @property
    def is_over(self) -> bool:
        return self.status != Status.RUNNING or self.epoch >= self.settings.epochs


def run(settings: Settings, watch: Watch) -> RunRecord:
    """Carry out one run, or return its record where it is complete already."""
    return run_together([settings], watch)[0]


def run_together(batch: Sequence[Settings], watch: Watch) -> list[RunRecord]:
    """Carry out runs that share problem and schedule as lanes of one batch.

    Returns their records in order. Completed runs are not computed again unless forced. Raises
    `NstbenchError` for what a person can mend (and `LockedError` when another process has one of
    the directories); any other exception is recorded as `failed` and passed on.
    """
    with ExitStack() as stack:
        directories = [stack.enter_context(RunDirectory(config.run_directory(s))) for s in batch]
        records = [directory.read_record() for directory in directories]
        open_ = [
            _Lane(settings, directory, _now())
            for settings, directory, record in zip(batch, directories, records, strict=True)
            if settings.force or record is None or not record.status.is_final
        ]
        if open_:
            _carry_out(open_, watch)
        return [directory.read_record() for directory in directories]


def _carry_out(lanes: list[_Lane], watch: Watch) -> None:
    """Load, compile, optimise, measure, publish."""
    session = None
    try:
        session = _Session(lanes, watch)
        with session.clocks.measure("compile"):
            watch.stage("compiling")
            session.optimizer.warm_up()
        session.advance()
        session.publish()
    except BaseException as error:
        # A mistake in the settings is told, not recorded: nothing has run yet.
        if session is not None or not isinstance(error, SettingsError):
            _record_failure(lanes, session, error)
        raise


class _Session:
    """One process's share of the batch: from its start, or from a checkpoint, to its end."""

    def __init__(self, lanes: list[_Lane], watch: Watch):
        self.lanes, self.watch = lanes, watch
        self.shared = shared = lanes[0].settings
        self.load_before = machine.load()
        watch.stage("loading the network")
        self.engine = engines.load(shared.device, shared.precision)
        states = [_checkpoint(lane) for lane in lanes]
        self._drop_unless_level(states)
        self.clocks = Clocks(
            synchronise=self.engine.synchronise,
            already=states[0]["clocks"] if states[0] else None,
            age=machine.process_age(),
        )
        with self.clocks.measure("compile"), self.engine.scope():
            self.problem = problems.load(shared, self.engine, watch.download)
            content = self.problem.content.pixels
            starts = [problems.start_image(lane.settings, content) for lane in lanes]
            self.optimizer = optimizers.create(
                [lane.settings.optimizer for lane in lanes],
                self.engine, self.problem.objective, np.stack(starts),
            )  # fmt: skip
        with self.clocks.measure("io"):
            for index, (lane, state) in enumerate(zip(lanes, states, strict=True)):
                self._begin(index, lane, state)
        self._saved_at = self.clocks.total

    @staticmethod
    def _drop_unless_level(states: list[dict | None]) -> None:
        """Lanes advance in step: unless all were left at one epoch, all start anew."""
        if len({state["epoch"] if state else None for state in states}) > 1:
            states[:] = [None] * len(states)

    def _begin(self, index: int, lane: _Lane, state: dict | None) -> None:
        directory = lane.directory
        if state is None:
            directory.clear()
        else:
            lane.epoch, lane.evaluations = state["epoch"], state["evaluations"]
            lane.best, lane.created = state["best"], state["created"]
            lane.notes.append(f"continued from a checkpoint at epoch {lane.epoch}")
            self.optimizer.restore(index, state["optimizer"])
        directory.start_rows(lane.epoch)
        images.save(directory.path / "content.png", self.problem.content.pixels)
        for number, style in enumerate(self.problem.styles):
            name = "style.png" if number == 0 else f"style_{number + 1}.png"
            images.save(directory.path / name, style.pixels)
        if lane.settings.snapshots and lane.epoch == 0:
            images.save(directory.frame_path(0), self.optimizer.images[index])
        directory.write_record(self.record(lane))

    def advance(self) -> None:
        """Epoch after epoch until every lane is over or somebody asks to stop."""
        self.watch.stage("optimising")
        with _stop_requests() as stop, self.engine.scope():
            while not all(lane.is_over for lane in self.lanes):
                with self.clocks.measure("optimise"):
                    epochs = self.optimizer.advance(self.shared.steps_per_epoch)
                with self.clocks.measure("io"):
                    for index, (lane, epoch) in enumerate(zip(self.lanes, epochs, strict=True)):
                        if not lane.is_over:
                            self._store(index, lane, epoch)
                    self._save(force=bool(stop))
                if stop:
                    for lane in self.lanes:
                        if not lane.is_over:
                            lane.status, lane.error = Status.INTERRUPTED, f"stopped by {stop[0]}"
                self._settle()

    def _settle(self) -> None:
        """Keep picture and loss of every lane that has just ended: the others may go on."""
        ended = [i for i, lane in enumerate(self.lanes) if lane.is_over and lane.end is None]
        if ended:
            with self.clocks.measure("measure"):
                pictures, losses = self.optimizer.images, self.optimizer.evaluate()
            for index in ended:
                self.lanes[index].end = pictures[index], losses[index]

    def _store(self, index: int, lane: _Lane, epoch: Epoch) -> None:
        """Put one epoch of one lane on record."""
        if epoch.steps:
            lane.epoch += 1
            lane.last = epoch.steps[-1]
            lane.evaluations += len(epoch.evaluations)
            finite = [e.loss for e in epoch.evaluations if e.is_finite]
            lane.best = min([lane.best, *finite])
            row = _epoch_row(lane, epoch, self.clocks)
            lane.directory.append_trace(_trace_rows(lane.epoch, epoch))
            lane.directory.append_epoch(row)
            every = lane.settings.snapshots
            if every and lane.epoch % every == 0:
                images.save(lane.directory.frame_path(lane.epoch), self.optimizer.images[index])
            self.watch.epoch(row, lane.settings)
        if any(not e.is_finite for e in (*epoch.steps, *epoch.evaluations)):
            lane.status = Status.DIVERGED
        elif epoch.finished:
            lane.status, lane.finished_early = Status.COMPLETED, epoch.finished

    def _save(self, force: bool) -> None:
        """Checkpoint now and then: seldom enough to cost nothing, often enough to lose little."""
        if not force and self.clocks.total - self._saved_at < self.shared.checkpoint_s:
            return
        for index, lane in enumerate(self.lanes):
            state = self.optimizer.state(index)
            if state and not lane.is_over:
                meta = {
                    "epoch": lane.epoch, "evaluations": lane.evaluations, "best": lane.best,
                    "created": lane.created, "clocks": self.clocks.seconds,
                }  # fmt: skip
                arrays = {f"optimizer_{name}": value for name, value in state.items()}
                lane.directory.save_checkpoint(arrays | {"meta": np.array(json.dumps(meta))})
        self._saved_at = self.clocks.total

    def publish(self) -> None:
        """Measure the pictures, save them, and write the final records."""
        self.watch.stage("measuring")
        with self.clocks.measure("measure"), self.engine.scope():
            self._settle()  # a run that had all its epochs when it was killed
            pictures = np.stack([lane.end[0] for lane in self.lanes])
            ends = [lane.end[1] for lane in self.lanes]
            qualities = [_quality(picture, self.problem.content.pixels) for picture in pictures]
            yardsticks = self._yardsticks(pictures, ends)
        for lane, picture, end, quality, yardstick in zip(
            self.lanes, pictures, ends, qualities, yardsticks, strict=True
        ):
            if lane.status == Status.RUNNING:
                lane.status = Status.COMPLETED
            with self.clocks.measure("io"):
                if np.isfinite(picture).all():
                    images.save(lane.directory.path / "image.png", self._coloured(lane, picture))
            final = _final(lane, end, steps=lane.last.step if lane.last else 0)
            lane.directory.write_record(
                self.record(lane, final=final, quality=quality, yardstick=yardstick)
            )
            if lane.status.is_final:
                lane.directory.clear_checkpoint()

    def _yardsticks(self, pictures: np.ndarray, ends: Sequence[Evaluation]):
        """Each picture under the default objective: its last evaluation, if that is the run's."""
        settings = config.yardstick(self.shared)
        if settings == self.shared:
            return [_yardstick(end.content, end.style, end.tv) for end in ends]
        try:
            measure = problems.measured_by(settings, self.problem, self.engine).objective
        except WeightsError:
            return [None] * len(ends)
        terms = self.engine.to_numpy(
            measure.terms(pictures.astype(self.engine.dtype), measure.parameters)
        )
        return [_yardstick(*values) for values in zip(*terms.values(), strict=True)]

    def _coloured(self, lane: _Lane, picture: np.ndarray) -> np.ndarray:
        if not lane.settings.keep_colours:
            return picture
        settings = lane.settings
        content = images.load(settings.content, settings.size, settings.keep_aspect)
        return images.with_colours_of(picture, content.pixels)

    def record(self, lane: _Lane, **results: Any) -> RunRecord:
        """`run.json` as things stand for one lane."""
        load = {"start": self.load_before, "end": machine.load()}
        notes = lane.notes + machine.timing_notes(load["start"], load["end"])
        over = lane.status != Status.RUNNING
        if len(self.lanes) > 1:
            notes.append(f"advanced as one of {len(self.lanes)} runs in a batch{self._rate(over)}")
        weights = self.problem.extractor.weights
        seconds = {f"{name}_s": value for name, value in self.clocks.seconds.items()}
        network = schema.Weights(
            name=lane.settings.weights, source=weights.source, sha256=weights.sha256
        )
        return RunRecord(
            schema_version=schema.SCHEMA_VERSION,
            id=config.run_id(lane.settings),
            status=lane.status,
            error=lane.error,
            created=lane.created,
            finished=_now() if over else None,
            command=lane.settings.command,
            settings={k: v for k, v in asdict(lane.settings).items() if k != "command"},
            problem=config.problem(lane.settings, self._facts()),
            content=problems.describe(self.problem.content),
            style=[problems.describe(style) for style in self.problem.styles],
            weights=network,
            machine=self._machine(lane.settings),
            versions=machine.versions(),
            load=load,
            timing_valid=over and not notes,
            timing_notes=notes,
            clocks=schema.Clocks(**(dict.fromkeys(_CLOCKS, 0.0) | seconds)),
            finished_early=lane.finished_early,
            **results,
        )

    def _rate(self, over: bool) -> str:
        """What a batch is for: evaluations per second of all its runs together."""
        seconds = self.clocks.seconds.get("optimise", 0.0)
        evaluations = sum(lane.evaluations for lane in self.lanes)
        return f", {evaluations / seconds:.3g} evaluations/s in all" if over and seconds else ""

    def _facts(self) -> dict[str, Any]:
        """What the loss depends on and only loading can tell."""
        return {
            "content": self.problem.content.sha256,
            "style": [style.sha256 for style in self.problem.styles],
            "weights": self.problem.extractor.weights.sha256,
        }

    def _machine(self, settings: Settings) -> dict[str, Any]:
        """The machine as far as seconds depend on it: the settings that say how it is used, too."""
        facts = machine.describe() | {
            "backend": settings.backend, "devices": self.engine.devices(),
            "precision": settings.precision,
            "kernels": self.engine.kernels(settings.kernels),
        }  # fmt: skip
        used = ("host", "backend", "devices", "precision", "kernels")
        return facts | {"host": config.digest([facts[name] for name in used])[:16]}


_CLOCKS = ("compile_s", "optimise_s", "measure_s", "io_s", "total_s")


@contextmanager
def _stop_requests() -> Iterator[list[str]]:
    """Names of the signals that asked for an end; a second one interrupts at once."""
    received: list[str] = []

    def request(number, frame):
        if received:
            raise KeyboardInterrupt
        received.append(signal.Signals(number).name)

    previous = {s: signal.signal(s, request) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _checkpoint(lane: _Lane) -> dict[str, Any] | None:
    """What an earlier session left, unless a fresh start was asked for or rows are missing."""
    saved = None if lane.settings.force else lane.directory.load_checkpoint()
    if saved is None or "meta" not in saved:
        return None
    state = json.loads(str(saved.pop("meta")))
    if lane.directory.start_rows(state["epoch"]) < state["epoch"]:
        return None
    state["clocks"] = {name.removesuffix("_s"): value for name, value in state["clocks"].items()}
    return state | {
        "optimizer": {name.removeprefix("optimizer_"): value for name, value in saved.items()}
    }


def _epoch_row(lane: _Lane, epoch: Epoch, clocks: Clocks) -> dict[str, Any]:
    last, losses = epoch.steps[-1], [step.loss for step in epoch.steps]
    values = (
        lane.epoch, last.step, lane.evaluations, clocks.seconds["optimise"], clocks.total,
        math.fsum(losses) / len(losses) if all(map(math.isfinite, losses)) else math.nan,
        last.loss, lane.best, last.content, last.style, last.tv, last.grad_norm,
    )  # fmt: skip
    return dict(zip(schema.EPOCH_COLUMNS, values, strict=True))


def _trace_rows(epoch: int, what: Epoch) -> list[dict[str, Any]]:
    return [
        dict(
            zip(
                schema.TRACE_COLUMNS,
                (e.number, epoch, e.step, e.loss, e.content, e.style, e.tv, e.grad_norm),
                strict=True,
            )
        )
        for e in what.evaluations
    ]


def _final(lane: _Lane, end: Evaluation, steps: int) -> schema.Final:
    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return schema.Final(
        epochs=lane.epoch, steps=steps, evaluations=lane.evaluations,
        loss=finite(end.loss), loss_best=finite(min(lane.best, end.loss)),
        content=finite(end.content), style=finite(end.style), tv=finite(end.tv),
    )  # fmt: skip


def _yardstick(content: float, style: float, tv: float) -> schema.Yardstick:
    values = {"loss": content + style + tv, "content": content, "style": style}
    return schema.Yardstick(
        **{k: float(v) if math.isfinite(v) else None for k, v in values.items()}
    )


def _quality(picture: np.ndarray, content: np.ndarray) -> schema.Quality:
    """SSIM and PSNR of a picture against the content, both in [0, 1]."""
    from skimage import metrics

    if not np.isfinite(picture).all():
        return schema.Quality(ssim=None, psnr=None)
    same = np.array_equal(picture, content)
    return schema.Quality(
        ssim=float(metrics.structural_similarity(content, picture, channel_axis=2, data_range=1.0)),
        psnr=None
        if same
        else float(metrics.peak_signal_noise_ratio(content, picture, data_range=1.0)),
    )


def _record_failure(lanes: list[_Lane], session: _Session | None, error: BaseException) -> None:
    """Leave the reason in every run that was not over; without a session there is no record yet."""
    interrupted = isinstance(error, KeyboardInterrupt)
    text = "interrupted" if interrupted else f"{type(error).__name__}: {error}"
    for lane in lanes:
        if session is not None and lane.status == Status.RUNNING:
            lane.status = Status.INTERRUPTED if interrupted else Status.FAILED
            lane.error = str(error) if isinstance(error, NstbenchError) else text
            lane.directory.write_record(session.record(lane))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
