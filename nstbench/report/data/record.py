"""What a record says, as the report reads it: schema 2, to which `migrations` lifts older ones."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from nstbench.run.schema import Status

SCHEMA_VERSION = 2
TERM = "term_"  # how the columns of the loss terms begin; they add up to the loss
EPOCH_COLUMNS = (
    "epoch",
    "step",
    "evaluations",
    "optimise_s",
    "wall_s",
    "loss",
    "loss_last",
    "loss_best",
    "grad_norm",
)
TRACE_COLUMNS = ("evaluation", "epoch", "step", "loss", "grad_norm")


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Picture(_Part):
    """One input picture as it entered the run."""

    name: str
    sha256: str  # of the fitted float32 pixels
    height: int
    width: int


class Weights(_Part):
    name: str
    source: str
    sha256: str


class Clocks(_Part):
    """Seconds on each stopwatch; `total_s` is the process's own wall time."""

    import_s: float = 0.0
    compile_s: float
    optimise_s: float
    measure_s: float
    io_s: float
    total_s: float


class Final(_Part):
    """Where the run ended; a loss or term is None where it is not finite."""

    epochs: int
    steps: int
    evaluations: int
    loss: float | None
    loss_best: float | None
    terms: dict[str, float | None] = {}


class Quality(_Part):
    """The saved image against the content picture: SSIM in [-1, 1], PSNR in dB."""

    ssim: float | None
    psnr: float | None


class Reference(_Part):
    """The reference metric: the saved image under the default objective and network."""

    loss: float | None
    terms: dict[str, float | None] = {}


class RunRecord(_Part):
    """`run.json` of schema 2."""

    schema_version: int = Field(alias="schema")
    id: str
    status: Status
    error: str | None = None
    created: str  # ISO 8601, UTC
    finished: str | None = None
    command: list[str]
    settings: dict[str, Any]
    problem: str
    content: Picture
    style: list[Picture]
    weights: Weights
    machine: dict[str, Any]
    versions: dict[str, str | None]
    load: dict[str, dict[str, Any]] = {}
    timing_valid: bool = False
    timing_notes: list[str] = []
    clocks: Clocks | None = None
    final: Final | None = None
    quality: Quality | None = None
    reference: Reference | None = None
    finished_early: str | None = None  # why the optimizer stopped before its schedule's end
    log_tail: list[str] = []

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)
