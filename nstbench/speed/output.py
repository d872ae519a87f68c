"""What a session has found, on the screen, as CSV and as figures."""

import csv
from collections.abc import Mapping
from pathlib import Path

from nstbench.speed import goals
from nstbench.speed.goals import Session
from nstbench.speed.options import LABELS, PEERS, Goal, Options

MARK = "*"  # behind a competitor whose numbers differ

COLUMNS = {
    "peer": ("", "{}"),
    "size": ("size", "{}"),
    "evaluation_s": ("eval. (s)", "{:.4g}"),
    "evaluation_spread": ("spread", "{:.1%}"),
    "step_s": ("step (s)", "{:.4g}"),
    "step_spread": ("spread", "{:.1%}"),
    "nstbench_over_this": ("ours / this", "{:.3f}"),
    "floor_share": ("of floor", "{:.0%}"),
    "start_s": ("start (s)", "{:.1f}"),
    "again_s": ("again (s)", "{:.1f}"),
    "peak_gb": ("peak (GB)", "{:.2f}"),
}


def write(session: Session, options: Options) -> list[Path]:
    """Write tables and figures below `options.out` and return the paths."""
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [
        _write_csv(folder / "speed.csv", goals.rows(session, options)),
        _write_csv(folder / "samples.csv", samples(session)),
    ]
    if session.curve:
        curve = [{"size": s, "pixels": s * s, "evaluation_s": t} for s, t in session.curve.items()]
        paths.append(_write_csv(folder / "curve.csv", curve))
    judged = [
        {"goal": describe(goal), "most": goal.most, "value": found, "verdict": verdict}
        for goal, found, verdict in judgements(session, options)
    ]
    paths.append(_write_csv(folder / "goals.csv", judged))
    figures = draw_bars(session, folder) if session.evaluation else []
    return [*paths, *figures, *draw_curve(session, folder)]


def samples(session: Session) -> list[dict[str, object]]:
    """Every timed sample: competitor, size, what, round, seconds."""
    return [
        {"peer": peer, "size": size, "what": what, "round": number, "seconds": seconds}
        for what in ("evaluation", "step")
        for (peer, size), each in getattr(session, what).items()
        for number, seconds in enumerate(each, start=1)
    ]


def _write_csv(path: Path, rows: list[Mapping[str, object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
    return path


def judgements(session: Session, options: Options) -> list[tuple[Goal, float | None, str]]:
    """Each goal with what was found and "met", "not met" or "not measured"."""
    found = [(goal, goals.value(session, goal)) for goal in options.goals]
    return [(goal, value, goals.verdict(value, goal)) for goal, value in found]


def describe(goal: Goal) -> str:
    """A goal in words."""
    what = {
        "ratio": "{ours}: seconds per evaluation over those of {peer}",
        "ratio_to_fastest": "{ours}: seconds per evaluation over those of the fastest other loop",
        "peak_gb": "peak memory in GB",
        "memory_exponent": "memory's growth: exponent of the pixels",
        "overhead_share": "harness overhead, share of an Adam step",
        "start_s": "seconds from command to first epoch row",
        "again_s": "the same, the second time",
    }[goal.measure].format(ours=LABELS[goal.ours], peer=LABELS.get(goal.peer or "", ""))
    return f"{what}, {goal.size} x {goal.size}" if goal.size else what


def show(session: Session, options: Options) -> None:
    """Print tables, goals and doubts."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 150  # a log has no edge to wrap at
    table = Table(box=None, pad_edge=False)
    for key, (title, _) in COLUMNS.items():
        table.add_column(title, justify="left" if key == "peer" else "right", no_wrap=True)
    for row in goals.rows(session, options):
        peer, *cells = [
            form.format(row[k]) if row[k] is not None else "-" for k, (_, form) in COLUMNS.items()
        ]
        table.add_row(f"{peer} {MARK}" if row["differs"] else peer, *cells)
    console.print(table)
    console.print()
    for line in (*_differences(session, options), *_lines(session)):
        console.print(line, soft_wrap=True, markup=False)
    goal_table = Table("goal", box=None, pad_edge=False)
    for title in ("at most", "found"):
        goal_table.add_column(title, justify="right")
    goal_table.add_column("")
    for goal, value, verdict in judgements(session, options):
        shown = "-" if value is None else f"{value:.3g}"
        goal_table.add_row(describe(goal), f"{goal.most:g}", shown, verdict)
    console.print()
    console.print(goal_table)
    for note in session.notes:
        console.print(note, soft_wrap=True, markup=False)


def _differences(session: Session, options: Options) -> list[str]:
    return [
        f"{MARK} {LABELS[peer]} at {size} computes something else: its loss differs by "
        f"{loss:.1e}, its gradient by {gradient:.1e}"
        for (peer, size), (loss, gradient) in goals.differing(session, options).items()
    ]


def _lines(session: Session) -> list[str]:
    lines = [
        f"missing: {LABELS[peer]} at {size} ({reason})"
        for (peer, size), reason in session.missing.items()
    ]
    if session.rate:
        best = min(session.products, key=lambda name: min(session.products[name]))
        lines.append(f"best float32 matrix product: {session.rate / 1e9:.0f} GFLOP/s ({best})")
        for size in session.sizes:
            floor = goals.vgg_flops(size) / session.rate
            lines.append(
                f"direct-convolution floor at {size}: {floor:.4g} s "
                f"({goals.vgg_flops(size) / 1e9:.1f} GFLOP)"
            )
    if session.overhead_s is not None:
        lines.append(f"harness overhead: {session.overhead_s * 1e6:.0f} microseconds per step")
    for (peer, size), each in session.evaluation.items():
        if peer == "nstbench":
            lines.append(f"nstbench at {size}: {1 / goals.summary(each).median:.4g} evaluations/s")
    exponent = goals.fitted_exponent(session.curve)
    if exponent is not None:
        lines.append(f"cost curve: seconds grow as pixels^{exponent:.2f}")
    return lines


def draw_bars(session: Session, folder: Path) -> list[Path]:
    """Median seconds per evaluation, a bar a competitor, a panel a size; the line is the floor."""
    from matplotlib.figure import Figure

    from nstbench.report.figures.looks import BLUE, SKY

    sizes = session.sizes
    peers = [p for p in PEERS if any((p, size) in session.evaluation for size in sizes)]
    figure = Figure(figsize=(1.9 + 3.3 * len(sizes), 1.1 + 0.36 * len(peers)), layout="constrained")
    for axes, size in zip(
        figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0], sizes, strict=True
    ):
        here = [peer for peer in peers if (peer, size) in session.evaluation]
        found = {peer: goals.summary(session.evaluation[peer, size]) for peer in here}
        for peer, each in found.items():
            ours = PEERS[peer].kernels is not None
            axes.barh(LABELS[peer], each.median, color=BLUE if ours else SKY, height=0.7)
            axes.annotate(
                f"{each.median:.3g}", (each.median, LABELS[peer]), xytext=(3, 0),
                textcoords="offset points", va="center", fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
        if session.rate:
            floor = goals.vgg_flops(size) / session.rate
            axes.axvline(floor, color="#333333", linewidth=1, linestyle=(0, (3, 2)))
        axes.set_xlim(0, 1.18 * max(each.median for each in found.values()))
        axes.set_title(f"{size} x {size}", fontsize=10)
        axes.set_xlabel("seconds per evaluation", fontsize=9)
        _plain(axes)
    axes.invert_yaxis()
    if session.rate:
        figure.supxlabel(
            "dashed: direct convolution at the rate of a matrix product",
            fontsize=7.5,
            color="#555555",
        )
    return _save(figure, folder / "speed")


def draw_curve(session: Session, folder: Path) -> list[Path]:
    """Seconds per evaluation against pixels, both logarithmic, with the fitted power."""
    exponent = goals.fitted_exponent(session.curve)
    if exponent is None:
        return []
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    from nstbench.report.figures.looks import BLUE

    sizes, seconds = list(session.curve), list(session.curve.values())
    pixels = np.array(sizes, float) ** 2
    scale = np.exp(np.mean(np.log(seconds) - exponent * np.log(pixels)))
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.loglog(pixels, scale * pixels**exponent, color="#888888", linewidth=1.2)
    axes.loglog(pixels, seconds, "o", color=BLUE)
    axes.annotate(
        f"pixels$^{{{exponent:.2f}}}$", (0.05, 0.9), xycoords="axes fraction", fontsize=10
    )
    axes.set_xticks(pixels, [f"{size}²" for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("pixels")
    axes.set_ylabel("seconds per evaluation")
    _plain(axes)
    return _save(figure, folder / "curve")


def _plain(axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5)


def _save(figure, stem: Path) -> list[Path]:
    paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    figure.savefig(paths[0], dpi=160)
    figure.savefig(paths[1], metadata={"Date": None})
    return paths
