"""`python -m nstbench animate RUN [RUN ...]`: a run's snapshots, or several side by side, moving.

Several runs share one clock: at every moment each shows its newest snapshot by then.
"""

import bisect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nstbench import arguments as given
from nstbench import errors
from nstbench.errors import SettingsError
from nstbench.notation import short

HELP = """\
python -m nstbench animate RUN [RUN ...] [name=value ...]: a run's snapshots as GIF and MP4

  python -m nstbench animate results/runs/adam-lr0.02-e50x5-1a2b3c4d
  python -m nstbench animate results/runs/adam-* results/runs/lbfgs-* clock=evaluations

RUN is a run's directory; it has snapshots when it was run with snapshots=K. Several runs play side
by side with a common clock: each shows its newest snapshot by then.

  clock=seconds      seconds of optimisation | evaluations | epochs
  length=8           seconds from the first to the last snapshot
  fps=12             frames per second
  side=256           pixels of each picture's longer side
  formats=gif,mp4    mp4 needs the extra nstbench[video]
  out=...            name of the files without their ending; results/animations/<run> unless given
"""

FORMATS = ("gif", "mp4")
UNITS = {"seconds": "s", "evaluations": "evaluations", "epochs": "epochs"}
HOLD_S = 1.5  # the last frame stands still: results want to be looked at
MARGIN, CAPTION = 12, 46  # pixels around pictures, and below each
COLUMNS = 4
PAPER, INK, GREY = "#FFFFFF", "#111111", "#666666"


@dataclass(frozen=True)
class Options:
    """What the arguments say; see `HELP`."""

    runs: tuple[Path, ...]
    clock: str = "seconds"
    length: float = 8.0
    fps: int = 12
    side: int = 256
    formats: tuple[str, ...] = FORMATS
    out: Path | None = None


@dataclass(frozen=True)
class Film:
    """One run's snapshots in order; `times[i]` is when `paths[i]` was, on the chosen clock."""

    label: str
    times: tuple[float, ...]
    paths: tuple[Path, ...]
    losses: tuple[float, ...]
    problem: str
    host: str
    timing_valid: bool


@dataclass(frozen=True)
class Frame:
    """A picture `(H, W, 3)` uint8 that stands for `ticks` of 1 / fps."""

    pixels: np.ndarray
    ticks: int


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    return given.command("animate", HELP, arguments, lambda: _animate(parse(arguments)))


def parse(arguments: Sequence[str]) -> Options:
    """Options from the command line. Raises `SettingsError` for a name or value it cannot use."""
    readers = {
        "clock": str, "length": float, "fps": int, "side": int, "out": Path,
        "formats": lambda text: tuple(text.split(",")),
    }  # fmt: skip
    runs, chosen = [], {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or Path(argument).is_dir():
            runs.append(Path(argument))
            continue
        if name not in readers:
            raise errors.unknown("setting", name, readers)
        try:
            chosen[name] = readers[name](value)
        except ValueError:
            raise SettingsError(f"{argument} is not a number") from None
    options = Options(tuple(runs), **chosen)
    _check(options)
    return options


def _check(options: Options) -> None:
    if not options.runs:
        raise SettingsError("name the directory of a run, e.g. results/runs/adam-...")
    if options.clock not in UNITS:
        raise errors.unknown("clock", options.clock, UNITS)
    for name in options.formats:
        if name not in FORMATS:
            raise errors.unknown("format", name, FORMATS)
    for name, least, most in (("length", 0.1, 600), ("fps", 1, 50), ("side", 32, 2048)):
        value = getattr(options, name)
        if not least <= value <= most:
            raise SettingsError(f"{name}={value} must be from {least} to {most}")
    if "mp4" in options.formats:
        _ffmpeg()


def _animate(options: Options) -> None:
    films = [read(run, options.clock) for run in options.runs]
    for note in doubts(films, options.clock):
        print(f"note: {note}", file=sys.stderr)
    made = list(frames(films, options))
    first = options.runs[0].resolve().name
    name = first if len(films) == 1 else f"{first}_and_{len(films) - 1}_more"
    stem = options.out or Path("results") / "animations" / name
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        for kind in options.formats:
            path = stem.with_name(f"{stem.name}.{kind}")
            WRITERS[kind](path, made, options.fps)
            print(path)
    except OSError as error:
        raise SettingsError(f"cannot write {stem}: {error.strerror or error}") from error


def read(run: Path, clock: str) -> Film:
    """The snapshots of the run in `run`, and its result where that is newer.

    Raises `SettingsError` where there is no run or it has no snapshots, `RecordError` where its
    record cannot be read.
    """
    from nstbench.report.data import presets
    from nstbench.run.record import read_record, read_rows, snapshots
    from nstbench.run.schema import EPOCH_COLUMNS, TRACE_COLUMNS

    record = read_record(run)
    if record is None:
        raise SettingsError(f"{run} holds no run (run.json is missing)")
    rows = read_rows(run / "epochs.csv", EPOCH_COLUMNS)
    found = snapshots(run, len(rows))
    if len(found) < 2:
        raise SettingsError(f"{run} kept no snapshots: run it again with snapshots=1 force=true")
    column = {"seconds": "optimise_s", "evaluations": "evaluations", "epochs": "epoch"}[clock]
    times = [0.0, *(float(row[column]) for row in rows)]
    start = (read_rows(run / "trace.csv", TRACE_COLUMNS) or rows)[0]  # of the first evaluation
    losses = [float(row["loss"]) for row in (start, *rows)]
    return Film(
        label=presets.label_of(record.settings),
        times=tuple(times[epoch] for epoch in found),
        paths=tuple(found.values()),
        losses=tuple(losses[epoch] for epoch in found),
        problem=record.problem,
        host=str(record.machine.get("host", "unknown")),
        timing_valid=record.timing_valid,
    )


def doubts(films: Sequence[Film], clock: str) -> list[str]:
    """Why a race between `films` would not be fair."""
    notes = []
    if len({film.problem for film in films}) > 1:
        notes.append("these runs solve different problems: their losses cannot be compared")
    if clock != "seconds" or len(films) < 2:
        return notes
    if len({film.host for film in films}) > 1:
        notes.append("these runs were made on different machines: clock=evaluations is fair")
    disturbed = [film.label for film in films if not film.timing_valid]
    if disturbed:
        notes.append(f"seconds are not valid of {', '.join(disturbed)}: clock=evaluations is fair")
    return notes


def frames(films: Sequence[Film], options: Options) -> Iterator[Frame]:
    """The animation: a new frame whenever any run has a newer snapshot."""
    end = max(film.times[-1] for film in films)
    count = max(2, round(options.length * options.fps))
    moments = [end * tick / (count - 1) for tick in range(count)]
    shown = [tuple(_newest(film, moment) for film in films) for moment in moments]
    starts = [i for i in range(count) if i == 0 or shown[i] != shown[i - 1]]
    board = _Board(films, options)
    for start, stop in zip(starts, [*starts[1:], count], strict=True):
        is_last = stop == count
        hold = round(HOLD_S * options.fps) if is_last else 0
        moment = end if is_last else moments[start]
        yield Frame(board.draw(shown[start], moment), stop - start + hold)


def _newest(film: Film, moment: float) -> int:
    """Index of the newest snapshot at `moment`; the first one before there is any."""
    # A little slack: the last moment must not miss the last snapshot by a rounding error.
    return max(0, bisect.bisect_right(film.times, moment * (1 + 1e-9)) - 1)


class _Board:
    """The paper: pictures in rows, a caption below each, one clock and a bar at the foot."""

    def __init__(self, films: Sequence[Film], options: Options):
        self._films, self._unit = films, UNITS[options.clock]
        self._end = max(film.times[-1] for film in films)
        first = _read(films[0].paths[0])
        scale = options.side / max(first.size)
        self._tile = tuple(max(1, round(length * scale)) for length in first.size)
        self._columns = min(len(films), COLUMNS)
        rows = -(-len(films) // self._columns)
        width = MARGIN + self._columns * (self._tile[0] + MARGIN)
        height = MARGIN + rows * (self._tile[1] + CAPTION) + 2 * MARGIN
        self._size = (width + width % 2, height + height % 2)  # H.264 wants even sides
        self._bold, self._plain = _font("DejaVuSans-Bold", 14), _font("DejaVuSans", 12)

    def draw(self, shown: Sequence[int], moment: float) -> np.ndarray:
        paper = Image.new("RGB", self._size, PAPER)
        pen = ImageDraw.Draw(paper)
        for place, (film, index) in enumerate(zip(self._films, shown, strict=True)):
            row, column = divmod(place, self._columns)
            left = MARGIN + column * (self._tile[0] + MARGIN)
            top = MARGIN + row * (self._tile[1] + CAPTION)
            picture = _read(film.paths[index])
            paper.paste(picture.resize(self._tile, Image.Resampling.LANCZOS), (left, top))
            below = top + self._tile[1]
            pen.text((left, below + 5), film.label, fill=INK, font=self._bold)
            pen.text((left, below + 24), self._facts(film, index), fill=GREY, font=self._plain)
        self._draw_clock(pen, moment)
        return np.asarray(paper)

    def _facts(self, film: Film, index: int) -> str:
        over = "  (end)" if index == len(film.paths) - 1 else ""
        return f"{_number(film.times[index])} {self._unit}, loss {short(film.losses[index])}{over}"

    def _draw_clock(self, pen: ImageDraw.ImageDraw, moment: float) -> None:
        """A bar as long as the share of time that is over."""
        width, height = self._size
        left, right, top = MARGIN, width - MARGIN, height - MARGIN - 4
        share = moment / self._end if self._end else 1.0
        pen.rectangle((left, top, right, top + 4), fill="#E3E3E3")
        pen.rectangle((left, top, left + share * (right - left), top + 4), fill="#0072B2")


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except OSError as error:
        raise SettingsError(f"snapshot {path} cannot be read: {error}") from error


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """One of matplotlib's own fonts: the same on every machine."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / f"fonts/ttf/{name}.ttf", size)


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.1f}"


def write_gif(path: Path, made: Sequence[Frame], fps: int) -> None:
    """An endless GIF; one palette per frame, for pictures have many colours."""
    pictures = [Image.fromarray(frame.pixels).quantize(dither=Image.Dither.NONE) for frame in made]
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], loop=0, disposal=1,
        duration=[round(1000 * frame.ticks / fps) for frame in made],
    )  # fmt: skip


def write_mp4(path: Path, made: Sequence[Frame], fps: int) -> None:
    """H.264 in MP4, which browsers and players know."""
    height, width, _ = made[0].pixels.shape
    writer = _ffmpeg().write_frames(
        str(path), (width, height), fps=fps, codec="libx264", quality=8, macro_block_size=2,
        ffmpeg_log_level="error",
    )  # fmt: skip
    writer.send(None)
    try:
        for frame in made:
            for _ in range(frame.ticks):
                writer.send(np.ascontiguousarray(frame.pixels))
    finally:
        writer.close()


WRITERS = {"gif": write_gif, "mp4": write_mp4}


def _ffmpeg():
    try:
        import imageio_ffmpeg
    except ImportError:
        raise SettingsError(
            "mp4 needs imageio-ffmpeg: pip install 'nstbench[video]', or ask for formats=gif"
        ) from None
    return imageio_ffmpeg


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
