"""What a run directory holds: the names and types that writer and reader share.

A run directory is `results/runs/<optimizer>-lr<lr>-e<epochs>x<steps>-<hash8>/` (see
`settings.identity`) with

- `run.json`     one `RunRecord`, replaced atomically, rewritten only when the status changes
- `epochs.csv`   one row per epoch, columns `epoch_columns(terms)`
- `trace.csv`    one row per evaluation, columns `trace_columns(terms)`
- `image.png`    the result, with its recipe as text; `content.png` and `style.png` are the fitted
  inputs
- `frames/epoch_00010.png` ... snapshots, when asked for
- `checkpoint.npz`  image, optimizer state and counters of a run that is not yet complete
- the optimizer's own file, where it belongs to no installed package
- `log.txt`      what the run's own process printed, when a sweep started it
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 2

EPOCH_COLUMNS = (
    "epoch",  # from 1
    "step",  # updates of the image so far
    "evaluations",  # values-and-gradients so far
    "optimise_s",  # seconds of updates so far (no compilation, no file, no metric)
    "wall_s",  # seconds since the process that runs this started, plus those of earlier sessions
    "loss",  # mean over the epoch's steps of the loss before each update
    "loss_last",  # loss before the epoch's last update
    "loss_best",  # lowest loss of any evaluation so far
    "grad_norm",  # Euclidean norm of the gradient before the epoch's last update
)
TRACE_COLUMNS = ("evaluation", "epoch", "step", "loss", "grad_norm")
TERM = "term_"  # begins the columns of the weighted terms, whose sum is loss_last (trace: loss)


def epoch_columns(terms: Iterable[str]) -> tuple[str, ...]:
    """The columns of `epochs.csv` under an objective with these terms."""
    return (*EPOCH_COLUMNS, *(TERM + name for name in terms))


def trace_columns(terms: Iterable[str]) -> tuple[str, ...]:
    """The columns of `trace.csv`."""
    return (*TRACE_COLUMNS, *(TERM + name for name in terms))


class Status(StrEnum):
    """How far a run has come. Only `completed` and `diverged` are final."""

    RUNNING = "running"
    COMPLETED = "completed"
    DIVERGED = "diverged"  # a loss that is not finite: a result, not a fault
    INTERRUPTED = "interrupted"  # Ctrl-C or SIGTERM; the same command continues it
    FAILED = "failed"  # raised, was killed, or ran past its time limit

    @property
    def is_final(self) -> bool:
        return self in (Status.COMPLETED, Status.DIVERGED)


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Picture(_Model):
    """One input picture as it entered the run."""

    name: str
    sha256: str  # of the fitted float32 pixels
    height: int
    width: int


class Weights(_Model):
    """Where the network's weights came from."""

    name: str  # imagenet, random, torchvision, ...
    source: str
    sha256: str  # of the loaded values


class Clocks(_Model):
    """Seconds on each stopwatch; `total_s` is the process's own wall time."""

    import_s: float = 0.0  # from the process's start to the run's; unknown before schema 2
    compile_s: float
    optimise_s: float
    measure_s: float
    io_s: float
    total_s: float


class Final(_Model):
    """Where the run ended. `loss` is that of the saved image (a last evaluation, not a step's)."""

    epochs: int
    steps: int
    evaluations: int
    loss: float | None  # None when not finite
    loss_best: float | None
    terms: dict[str, float | None]


class Quality(_Model):
    """The saved image against the content picture: SSIM in [-1, 1], PSNR in dB."""

    ssim: float | None
    psnr: float | None


class Reference(_Model):
    """The saved image under the default objective and network, whatever the run's own are.

    The weighted terms and their sum, comparable between runs of different objectives on the same
    pictures at one size.
    """

    loss: float | None  # None when not finite
    terms: dict[str, float | None]


class RunRecord(_Model):
    """`run.json`.

    `problem` is the digest of all that the loss value depends on except the optimizer (pictures,
    sizes, extractor, weights, objective, start image): runs with different problems are never
    compared. `host` in `machine` is the machine's digest: seconds are compared within one only.
    """

    schema_version: int = Field(alias="schema")
    id: str
    status: Status
    error: str | None = None
    finished_early: str | None = None  # why the optimizer took no further step, in its words
    log_tail: list[str] = []  # of a run that failed
    created: str  # ISO 8601, UTC
    finished: str | None = None
    command: list[str]  # arguments after `python -m nstbench` that run exactly this again
    settings: dict[str, Any]
    problem: str
    content: Picture
    style: list[Picture]
    weights: Weights
    layers: dict[str, list[str]] = {}  # that each term read; "default" in `settings` came to these
    machine: dict[str, Any]
    versions: dict[str, str | None]
    load: dict[str, dict[str, Any]] = {}  # "start" and "end": load average, threads, other runs
    timing_valid: bool = False
    timing_notes: list[str] = []  # why the timing is not valid; empty when it is
    clocks: Clocks | None = None
    final: Final | None = None
    quality: Quality | None = None
    reference: Reference | None = None  # None, too, where the default network cannot be had

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)
