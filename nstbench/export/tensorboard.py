"""Event files for TensorBoard, a folder for each run; steps are evaluations.

Written with TensorBoard's own protocol buffers alone: TensorFlow is not loaded.
"""

from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from nstbench.export import contents
from nstbench.export.commands import Options
from nstbench.report.data.reader import RecordedRun

EVENTS = "events.out.tfevents"  # begins the names of TensorBoard's files


def view(options: Options) -> str:
    """The command that shows what was exported."""
    return f"tensorboard --logdir {_folder(options)}"


def _folder(options: Options) -> Path:
    return Path(options.to).expanduser() if options.to else options.folder / "tensorboard"


class Writer:
    """Keeps a file open for each run, so that what is new of it can be appended."""

    def __init__(self, options: Options):
        self._folder = _folder(options)
        self._logs: dict[str, _Log] = {}

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_exception: object) -> None:
        for log in self._logs.values():
            log.close()

    def update(self, run: RecordedRun) -> None:
        """Append what is new of a run; one that was begun anew is written anew."""
        log = self._logs.get(run.id)
        if log is None or not log.continues(run):
            if log is not None:
                log.close()
            log = self._logs[run.id] = _Log(self._folder / run.id, run)
        log.append(run)


class _Log:
    """The event file of one run."""

    def __init__(self, folder: Path, run: RecordedRun):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{EVENTS}.*"):
            old.unlink()
        self._created, self._epochs = run.record.created, 0
        self._pictures: set[Path] = set()
        self._is_over = False
        name = f"{EVENTS}.{contents.began(run):.0f}.nstbench"
        self._file: BinaryIO = open(folder / name, "wb")  # noqa: SIM115 (closed by `close`)
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=contents.began(run), file_version="brain.Event:2"))
        self._write_summary(run, 0, hparams_pb(_plain(contents.parameters(run)), trial_id=run.id))
        for name, path in contents.inputs(run).items():
            self._write_picture(run, 0, name, path)

    def continues(self, run: RecordedRun) -> bool:
        return run.record.created == self._created and len(run.epochs) >= self._epochs

    def append(self, run: RecordedRun) -> None:
        """Rows and pictures that are new; the summary once the run is over."""
        for evaluations, time, values in contents.series(run, self._epochs):
            scalars = [Summary.Value(tag=n, simple_value=v) for n, v in values.items()]
            summary = Summary(value=scalars)
            self._write(Event(wall_time=time, step=evaluations, summary=summary))
        self._epochs = len(run.epochs)
        for evaluations, path in contents.pictures(run).items():
            if path not in self._pictures and (path.name != "image.png" or run.status.is_final):
                self._pictures.add(path)
                self._write_picture(run, evaluations, "image", path)
        if run.status.is_final and not self._is_over:
            self._is_over = True
            ends = contents.summary(run).items()
            scalars = [Summary.Value(tag=name, simple_value=value) for name, value in ends]
            self._write_summary(run, run.evaluations, Summary(value=scalars))
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write_picture(self, run: RecordedRun, step: int, tag: str, path: Path) -> None:
        with Image.open(path) as picture:
            width, height = picture.size
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes()
        )
        self._write_summary(run, step, Summary(value=[Summary.Value(tag=tag, image=image)]))

    def _write_summary(self, run: RecordedRun, step: int, summary: Any) -> None:
        self._write(Event(wall_time=contents.began(run), step=step, summary=summary))

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """What the table of hyperparameters takes: texts, numbers, booleans."""
    return {n: v if isinstance(v, bool | int | float) else str(v) for n, v in parameters.items()}
