"""One process's share of a run: what it works with, how far it is, and its record."""

from typing import Any

import numpy as np

from nstbench.errors import NstbenchError
from nstbench.pictures import images
from nstbench.run import checkpoint, machine, provenance, schema
from nstbench.run.checkpoint import Counters
from nstbench.run.clock import Clocks
from nstbench.run.listener import Listener
from nstbench.run.record import RunDirectory, save_picture
from nstbench.run.schema import RunRecord, Status
from nstbench.run.setup import Setup
from nstbench.settings import identity
from nstbench.settings.model import Settings


class Session:
    """A run in this process, set up anew or from its last checkpoint.

    `setup` gives what it works with. Raises `NstbenchError` where problem or optimizer cannot be
    set up.
    """

    def __init__(
        self, settings: Settings, directory: RunDirectory, listener: Listener, setup: Setup
    ):
        self.setup = setup
        self.settings, self.directory, self.listener = settings, directory, listener
        self.terms = list(settings.objective.terms)
        self.status = Status.RUNNING
        self.error: str | None = None
        self.finished_early: str | None = None
        self.notes: list[str] = list(setup.notes)
        self.load_before = machine.load()
        listener.stage("loading the network")
        self.engine = setup.engine(settings)
        self.clocks = Clocks(synchronise=self.engine.synchronise, age=setup.age())
        with self.clocks.measure("compile"), self.engine.scope():
            self.problem = setup.problem(settings, self.engine, listener.download)
            self.minimisation = setup.minimisation(settings, self.engine, self.problem)
            self.minimisation.allow(settings.evaluations)
        with self.clocks.measure("io"):
            self.counters = self._restored() or self._fresh()
            self._begin()

    def _restored(self) -> Counters | None:
        """The counters of the last checkpoint, its state restored; None where none is of use."""
        arrays = None if self.settings.force else self.directory.load_checkpoint()
        if arrays is None or not self.minimisation.resumable:
            return None
        fresh = self.minimisation.state()
        try:
            counters, seconds, state = checkpoint.unpack(arrays)
            if self.directory.start_rows(counters.epoch, self.terms) < counters.epoch:
                raise ValueError("rows of the tables before it are missing")
            self.minimisation.restore(state)
        except (ValueError, KeyError, TypeError) as error:
            self.minimisation.restore(fresh)
            self.listener.note(f"the checkpoint does not fit: {error}; the run starts anew")
            return None
        self.clocks = Clocks(
            synchronise=self.engine.synchronise, already=seconds, age=self.clocks.total
        )
        self.notes.append(f"continued from a checkpoint at epoch {counters.epoch}")
        self.listener.note(f"continuing at epoch {counters.epoch + 1}")
        return counters

    def _fresh(self) -> Counters:
        self.directory.clear()
        if not self.minimisation.resumable:
            self.listener.note(
                "this optimizer cannot continue: a run that is stopped repeats itself"
            )
        return Counters(created=provenance.now())

    def _begin(self) -> None:
        directory = self.directory
        directory.start_rows(self.counters.epoch, self.terms)
        save_picture(directory.path / "content.png", self.problem.content.pixels)
        for number, style in enumerate(self.problem.styles):
            name = "style.png" if number == 0 else f"style_{number + 1}.png"
            save_picture(directory.path / name, style.pixels)
        provenance.keep_sources(self.settings, directory.path)
        if self.settings.snapshots and self.counters.epoch == 0:
            save_picture(directory.frame_path(0), self.shown(self.minimisation.image))
        directory.write_record(self.record())

    def save_checkpoint(self) -> None:
        """Publish all that the run needs to go on from here, where its optimizer can."""
        if self.minimisation.resumable:
            arrays = checkpoint.pack(self.counters, self.clocks.seconds, self.minimisation.state())
            self.directory.save_checkpoint(arrays)

    def shown(self, pixels: np.ndarray) -> np.ndarray:
        """The pixels as a picture: inside [0, 1], in the content's colours where those are kept."""
        pixels = np.clip(pixels, 0.0, 1.0)
        if not self.settings.keep_colours:
            return pixels
        settings = self.settings
        content = images.load(settings.content, settings.size, settings.keep_aspect)
        return images.with_colours_of(pixels, content.pixels)

    def record(self, **results: Any) -> RunRecord:
        """`run.json` as things stand."""
        settings, over = self.settings, self.status != Status.RUNNING
        load = {"start": self.load_before, "end": machine.load()}
        notes = self.notes + machine.timing_notes(load["start"], load["end"])
        seconds = {f"{name}_s": value for name, value in self.clocks.seconds.items()}
        return RunRecord(
            schema_version=schema.SCHEMA_VERSION,  # type: ignore[call-arg]
            id=identity.run_id(settings),
            status=self.status,
            error=self.error,
            finished_early=self.finished_early,
            created=self.counters.created,
            finished=provenance.now() if over else None,
            command=list(settings.command),
            settings=settings.model_dump(mode="json", exclude={"command"}),
            **provenance.of_problem(settings, self.problem),
            machine=provenance.of_machine(settings, self.engine),
            versions=provenance.versions(settings),
            load=load,
            timing_valid=self.status.is_final and not notes,
            timing_notes=notes,
            clocks=schema.Clocks(**(dict.fromkeys(CLOCKS, 0.0) | seconds)),
            **results,
        )

    def record_failure(self, error: BaseException) -> None:
        """Leave the reason in the record, unless the run was over."""
        if self.status != Status.RUNNING:
            return
        interrupted = isinstance(error, KeyboardInterrupt)
        text = "interrupted" if interrupted else f"{type(error).__name__}: {error}"
        self.status = Status.INTERRUPTED if interrupted else Status.FAILED
        self.error = str(error) if isinstance(error, NstbenchError) else text
        self.directory.write_record(self.record())


CLOCKS = ("import_s", "compile_s", "optimise_s", "measure_s", "io_s", "total_s")
