"""Run directories with known effects, written as the recorder would write them.

Nothing here is measured: seconds and losses follow the laws below, so that a test knows what the
report must find in them.

    loss(step)  = start_loss * (floor + (1 - floor) / (1 + speed * step))
    seconds     = (compile_s + steps * step_s + io_s + measure_s) * slowness
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from nstbench.cost.record import Method, Pair, Record
from nstbench.run.schema import SCHEMA_VERSION, Status, epoch_columns, trace_columns

TERMS = {"content": 0.3, "style": 0.6, "variation": 0.1}  # shares of the loss
OLD_TERMS = {"term_content": "content", "term_style": "style", "term_variation": "tv"}
SPEEDS = {"adam": 0.05, "adagrad": 0.01, "rmsprop": 0.04, "lbfgs": 0.2}

# The report's Table 1: optimizer, rate, epochs of five steps, the seconds it gives.
TABLE1 = (
    ("adam", 0.02, 50, 30.6),
    ("adagrad", 0.02, 50, 30.4),
    ("adagrad", 0.1, 50, 30.2),
    ("adam", 0.02, 100, 58.0),
    ("adagrad", 0.02, 100, 58.1),
    ("rmsprop", 0.02, 100, 57.2),
    ("adam", 0.02, 500, 151.6),
    ("adagrad", 0.02, 500, 151.8),
    ("rmsprop", 0.02, 500, 149.6),
    ("rmsprop", 0.001, 500, 152.9),
)

COST_METHODS = (
    ("adam", 0.02),
    ("adagrad", 0.02),
    ("rmsprop", 0.02),
    ("rmsprop", 0.001),
    ("adagrad", 0.1),
)
LABELS = {"adam": "Adam", "adagrad": "Adagrad", "rmsprop": "RMSprop", "sgd": "SGD"}
COST_PAIRS = ((0, 1), (0, 2), (2, 1), (3, 2), (1, 4))  # what observations 1 to 4 compare


@dataclass(frozen=True)
class SyntheticRun:
    """One run to be written; every field has a harmless default."""

    optimizer: str = "adam"
    lr: float = 0.02
    epochs: int = 10
    steps_per_epoch: int = 5
    repeat: int = 0
    experiment: str | None = None
    reported_seconds: float | None = None
    status: Status = Status.COMPLETED
    diverged_at: int | None = None  # epoch from which losses are not finite; sets the status
    error: str | None = None
    step_s: float = 0.01
    compile_s: float = 0.5
    io_s: float = 0.1
    measure_s: float = 0.05
    slowness: float = 1.0
    timing_valid: bool = True
    timing_notes: tuple[str, ...] = ()
    start_loss: float = 4e6
    floor: float = 0.02
    speed: float | None = None  # SPEEDS[optimizer] when None
    evaluations_per_step: int = 1
    host: str = "synthetic-host"
    content: str = "portrait"
    style: str = "waves"
    size: int = 16
    seed: int = 0
    weights_sha256: str = "w" * 64
    objective: str = "report"
    frames: tuple[int, ...] = ()  # epochs whose snapshots are kept
    trace: bool = True
    images: bool = True
    order: int = 0  # place within its repeat, a minute each
    finished_early: str | None = None
    options: dict[str, Any] = field(default_factory=dict)  # hyperparameters without the rate
    schema: int = SCHEMA_VERSION  # 1: as records were written until 2026-11
    extra_settings: dict[str, Any] = field(default_factory=dict)

    @property
    def problem(self) -> str:
        """Digest of what the loss depends on, the optimizer left out."""
        parts = (
            self.content,
            self.style,
            self.size,
            self.weights_sha256,
            self.objective,
            self.seed,
        )
        return _digest("problem", *parts)

    @property
    def id(self) -> str:
        own = (self.optimizer, self.lr, self.epochs, self.repeat, self.host, self.options)
        hash8 = _digest(self.problem, *own)
        schedule = f"e{self.epochs}x{self.steps_per_epoch}"
        return f"{self.optimizer}-lr{self.lr:g}-{schedule}-{hash8[:8]}"


def table1(
    repeats: int = 3,
    effects: dict[str, float] | None = None,
    spread: float = 0.005,
    drift: float = 0.05,
    seed: int = 0,
) -> list[SyntheticRun]:
    """The report's ten rows, interleaved; `effects` slows an optimizer by a factor, `spread` is
    the standard deviation of the log of the seconds, on top of a drift that a repeat shares."""
    rows = []
    for number, (optimizer, lr, epochs, seconds) in enumerate(TABLE1, start=1):
        name = f"table1_{number:02d}_{optimizer}"
        rows.append(SyntheticRun(optimizer, lr, epochs, experiment=name, reported_seconds=seconds))
    return suite(rows, repeats, effects, spread, drift, seed)


def suite(
    rows: Iterable[SyntheticRun],
    repeats: int,
    effects: dict[str, float] | None = None,
    spread: float = 0.005,
    drift: float = 0.05,
    seed: int = 0,
) -> list[SyntheticRun]:
    """Each of `rows` once per repeat (A B C A B C); a repeat shares `drift`, not `spread`."""
    random = np.random.default_rng(seed)
    effects = effects or {}
    rows = list(rows)
    runs = []
    for repeat in range(repeats):
        common = random.normal(0, drift)
        for order, row in enumerate(rows):
            slowness = np.exp(common + random.normal(0, spread)) * effects.get(row.optimizer, 1.0)
            slowness = row.slowness * float(slowness)
            runs.append(replace(row, repeat=repeat, order=order, slowness=slowness))
    return runs


def write_runs(results: Path, runs: Iterable[SyntheticRun]) -> list[Path]:
    """Write every run below `results/runs` and return their directories."""
    return [write_run(results, run) for run in runs]


def write_run(results: Path, run: SyntheticRun) -> Path:
    """Write one run directory below `results/runs` and return it."""
    path = results / "runs" / run.id
    path.mkdir(parents=True, exist_ok=True)
    trace = _trace(run)
    epochs = _epochs(run, trace)
    _in_schema(run, epochs).to_csv(path / "epochs.csv", index=False)
    if run.trace:
        rows = trace[list(trace_columns(TERMS))]
        _in_schema(run, rows).to_csv(path / "trace.csv", index=False)
    if run.images:
        _write_images(path, run)
    (path / "run.json").write_text(json.dumps(record(run, epochs), indent=2), encoding="utf-8")
    return path


def cost_session(slower=None, n=30, size=256, margin=0.01, methods=COST_METHODS, **problem):
    """A session of `nstbench cost` on the synthetic runs' problem, n comparisons of each pair.

    `slower` gives the log ratio of some methods' steps to those of the others.
    """
    slower = slower or {}
    noise = 0.001 * np.random.default_rng(n).choice([-1.0, 1.0], n)
    made = Record(
        problem={
            "objective": {}, "extractor": {"name": "vgg19", "options": {}}, "keep_aspect": False,
            "precision": "float32", "kernels": "fast", "backend": "tensorflow", "size": size,
            **problem,
        },
        facts={"devices": ["CPU"], "machine": {"cpu": problem.pop("cpu", "Synthetic CPU")}},
    )  # fmt: skip
    for number, (name, lr) in enumerate(methods):
        made.methods[str(number)] = Method(
            name=name,
            label=LABELS[name],
            target=f"keras.optimizers.{LABELS[name]}",
            lr=lr,
            options={},
            source={},
            step_s=0.125,
        )
    for a, b in COST_PAIRS:
        truth = slower.get(methods[a], 0.0) - slower.get(methods[b], 0.0)
        pair = Pair(a=str(a), b=str(b), logs=list(truth + noise), spreads=[0.002] * n)
        made.pairs.append(pair)
        made.verdicts.append({"a": pair.b, "b": pair.a, "margin": margin})
    return made


def _in_schema(run: SyntheticRun, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns=OLD_TERMS) if run.schema == 1 else frame


def record(run: SyntheticRun, epochs: pd.DataFrame) -> dict[str, Any]:
    """What `run.json` holds, as plain data that a test may change before it is written."""
    made = {
        "schema": run.schema,
        "id": run.id,
        "status": str(_status(run)),
        "error": run.error,
        "created": _time(run, 0),
        "finished": _time(run, 30),
        "finished_early": run.finished_early,
        "log_tail": [],
        "command": [f"optimizer={run.optimizer}", f"lr={run.lr:g}", f"epochs={run.epochs}"],
        "settings": _settings(run),
        "problem": run.problem,
        "content": _picture(run.content, run.size),
        "style": [_picture(run.style, run.size)],
        "weights": {"name": "synthetic", "source": "none", "sha256": run.weights_sha256},
        "layers": {},
        "machine": {
            "host": run.host,
            "cpu": "Synthetic CPU",
            "cores": 2,
            "os": "none",
            "kernels": "fast",
        },
        "versions": {"python": "3.11.0", "tensorflow": None},
        "load": {"start": {"load_average": 0.1}, "end": {"load_average": 1.0}},
        "timing_valid": run.timing_valid,
        "timing_notes": list(run.timing_notes),
        "clocks": _clocks(run),
        "final": _final(epochs),
        "quality": {"ssim": 0.5, "psnr": 15.0},
        "reference": {name: _final(epochs)[name] for name in ("loss", "terms")},
    }
    return _of_schema_1(made) if run.schema == 1 else made


def _of_schema_1(made: dict[str, Any]) -> dict[str, Any]:
    """The record as schema 1 had it: three terms by their own names, flat hyperparameters."""
    final, reference = made["final"], made.pop("reference")
    terms = final.pop("terms")
    old = {"content": terms["content"], "style": terms["style"], "tv": terms["variation"]}
    optimizer = made["settings"]["optimizer"]
    flat = {"name": optimizer["name"], "lr": made["settings"]["lr"], **optimizer["options"]}
    made["settings"] |= {"optimizer": flat, "style": made["settings"]["style"][0]}
    made["settings"].pop("schedule")
    made["settings"]["objective"] = {"name": made["settings"]["objective"]["name"]}
    del made["finished_early"], made["log_tail"]
    yardstick = {"loss": reference["loss"], "content": old["content"], "style": old["style"]}
    return made | {"final": final | old, "yardstick": yardstick}


def _time(run: SyntheticRun, second: int) -> str:
    day, (hour, minute) = 1 + run.repeat % 28, divmod(run.order, 60)
    month = 1 + run.repeat // 28
    return f"2026-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}+00:00"


def _status(run: SyntheticRun) -> Status:
    return Status.DIVERGED if run.diverged_at is not None else run.status


def _settings(run: SyntheticRun) -> dict[str, Any]:
    settings = {
        "optimizer": {"name": run.optimizer, "label": "", "target": "", "options": run.options},
        "schedule": {"name": "constant", "target": None, "options": {}},
        "lr": run.lr,
        "epochs": run.epochs,
        "steps_per_epoch": run.steps_per_epoch,
        "size": run.size,
        "keep_aspect": False,
        "content": run.content,
        "style": [run.style],
        "init": "content",
        "seed": run.seed,
        "repeat": run.repeat,
        "weights": "synthetic",
        "objective": {"name": run.objective, "terms": {}},
        "extractor": {"name": "vgg19"},
        "backend": "tensorflow",
        "device": "cpu",
        "precision": "float32",
        "kernels": "fast",
        "snapshots": 0,
        "experiment": run.experiment,
        "reported_seconds": run.reported_seconds,
    }
    return settings | run.extra_settings


def _clocks(run: SyntheticRun) -> dict[str, float]:
    steps = run.epochs * run.steps_per_epoch
    clocks = {
        "compile_s": run.compile_s * run.slowness,
        "optimise_s": steps * run.step_s * run.slowness,
        "measure_s": run.measure_s * run.slowness,
        "io_s": run.io_s * run.slowness,
    }
    return clocks | {"total_s": sum(clocks.values())}


def _trace(run: SyntheticRun) -> pd.DataFrame:
    per_step, per_epoch = run.evaluations_per_step, run.steps_per_epoch
    evaluation = np.arange(1, run.epochs * per_epoch * per_step + 1)
    step = (evaluation - 1) // per_step + 1
    epoch = (step - 1) // per_epoch + 1
    speed = SPEEDS.get(run.optimizer, 0.03) if run.speed is None else run.speed
    loss = run.start_loss * (run.floor + (1 - run.floor) / (1 + speed * (step - 1)))
    if run.diverged_at is not None:
        loss = np.where(epoch >= run.diverged_at, np.nan, loss)
    columns = {"evaluation": evaluation, "epoch": epoch, "step": step, "loss": loss}
    terms = {f"term_{name}": share * loss for name, share in TERMS.items()}
    return pd.DataFrame(columns | terms | {"grad_norm": loss / 100})


def _epochs(run: SyntheticRun, trace: pd.DataFrame) -> pd.DataFrame:
    last = trace.groupby("epoch").last()
    rows = pd.DataFrame(
        {
            "epoch": last.index,
            "step": last["step"],
            "evaluations": last["evaluation"],
            "optimise_s": last["step"] * run.step_s * run.slowness,
            "loss": trace.groupby("epoch")["loss"].mean(),
            "loss_last": last["loss"],
            "loss_best": trace["loss"].cummin().ffill()[last["evaluation"] - 1].to_numpy(),
        }
    )
    rows["wall_s"] = rows["optimise_s"] + (run.compile_s + run.io_s) * run.slowness
    kept = ["grad_norm", *(f"term_{name}" for name in TERMS)]
    rows[kept] = last[kept]
    return rows[list(epoch_columns(TERMS))].reset_index(drop=True)


def _final(epochs: pd.DataFrame) -> dict[str, Any]:
    last = epochs.iloc[-1]

    def finite(column: str) -> float | None:
        return float(last[column]) if np.isfinite(last[column]) else None

    counts = {"epochs": "epoch", "steps": "step", "evaluations": "evaluations"}
    final = {name: int(last[column]) for name, column in counts.items()}
    final |= {"loss": finite("loss_last"), "loss_best": finite("loss_best")}
    return final | {"terms": {name: finite(f"term_{name}") for name in TERMS}}


def _picture(name: str, size: int) -> dict[str, Any]:
    return {"name": name, "sha256": _digest(name, size), "height": size, "width": size}


def _write_images(path: Path, run: SyntheticRun) -> None:
    content, style = _painted(run.content, run.size), _painted(run.style, run.size)
    result = (content.astype(float) + style) / 2
    tinted = result * (1 - 0.3 * _painted(run.optimizer, 1) / 255)
    Image.fromarray(content).save(path / "content.png")
    Image.fromarray(style).save(path / "style.png")
    Image.fromarray(tinted.astype(np.uint8)).save(path / "image.png")
    for epoch in run.frames:
        (path / "frames").mkdir(exist_ok=True)
        share = min(epoch / run.epochs, 1)
        frame = (content * (1 - share) + tinted * share).astype(np.uint8)
        Image.fromarray(frame).save(path / "frames" / f"epoch_{epoch:05d}.png")


def _painted(name: str, size: int) -> np.ndarray:
    """A smooth uint8 picture (size, size, 3) that depends on `name` alone."""
    random = np.random.default_rng(int(_digest(name)[:8], 16))
    y, x = np.mgrid[0:size, 0:size][..., None] / size
    turns, phase = random.uniform(0.5, 3, (2, 3)), random.uniform(0, 6.3, 3)
    return (127.5 + 127.5 * np.sin(6.3 * (x * turns[0] + y * turns[1]) + phase)).astype(np.uint8)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
