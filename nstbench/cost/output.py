"""What was found: sentences, tables as CSV and Markdown, a forest plot."""

import csv
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from nstbench.cost.names import told_apart, with_rate
from nstbench.cost.record import Counts, Method, Microseconds, Record
from nstbench.cost.sequence import Decision, Estimate
from nstbench.files import replacing

WORDS = {
    Decision.MORE: "slower by more than {}",
    Decision.LESS: "faster by more than {}",
    Decision.NO_DIFFERENCE: "no difference beyond {}",
    Decision.NOT_DECIDED: "not decided at {} after {} comparisons",
}
WIDEST = 5.0  # margins that the figure shows on either side; what lies beyond is an arrow
COLOURS = {
    Decision.MORE: "#D55E00", Decision.LESS: "#009E73", Decision.NO_DIFFERENCE: "#0072B2",
    Decision.NOT_DECIDED: "#777777",
}  # fmt: skip


def labels(record: Record) -> dict[str, str]:
    """The name of each method by key; those that share one are told apart by rate, then by key."""
    names = [(m.label, with_rate(m.label, m.lr), key) for key, m in record.methods.items()]
    return dict(zip(record.methods, told_apart(names), strict=True))


def verdicts(record: Record, margin: float, alpha: float) -> list[dict[str, Any]]:
    """One row per pair whose steps were compared; a and b in the order first asked for.

    `ratio`, `low` and `high` are of a/b; a bound that is not known yet is None.
    """
    order, names = list(record.methods), labels(record)
    rows = []
    for pair in sorted(record.pairs, key=lambda p: sorted(map(order.index, (p.a, p.b)))):
        turned = order.index(pair.a) > order.index(pair.b)
        a, b = (pair.b, pair.a) if turned else (pair.a, pair.b)
        found = pair.estimate(alpha).turned() if turned else pair.estimate(alpha)
        update = _negative(pair.update) if turned and pair.update else pair.update
        row = {
            "a": a, "b": b, "label_a": names[a], "label_b": names[b],
            "update_us": update and update.value, "update_low_us": update and update.low,
            "update_high_us": update and update.high, "ratio": _ratio(found.centre),
            "low": _ratio(found.low), "high": _ratio(found.high), "comparisons": found.n,
            "margin": margin, "alpha": alpha, "decision": str(found.decision(margin)),
            "sentence": sentence(names[a], names[b], found, margin),
        }  # fmt: skip
        rows.append(row)
    return rows


def sentence(a: str, b: str, found: Estimate, margin: float) -> str:
    """What is known of a's step beside b's."""
    outcome = WORDS[found.decision(margin)].format(percent(margin), found.n)
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return f"What {a}'s step costs beside {b}'s is {outcome}."
    return f"{a}'s step costs {_between(found.low, found.high)} {b}'s: {outcome}."


def percent(share: float, rounded: Callable[[float], float] = round) -> str:
    """0.01 -> "1 %"; two significant figures, but hundredths or whole per cent at most.

    `rounded` brings a number to a whole one: `math.floor` and `math.ceil` keep a bound a bound.
    """
    value = abs(share) * 100
    places = min(max(1 - math.floor(math.log10(value)), 0), 2) if value > 0 else 0
    whole = rounded(round(value * 10**places, 6))
    return f"{whole / 10**places:g} %"


def write(record: Record, folder: Path, margin: float, alpha: float) -> list[Path]:
    """Write everything beside the record; returns the paths."""
    record.verdicts = verdicts(record, margin, alpha)
    paths = [record.save(folder)]
    rows = record.verdicts
    paths.append(_write_csv(folder / "cost.csv", rows))
    paths.append(_write_csv(folder / "methods.csv", methods(record)))
    paths.append(folder / "cost.md")
    _write_text(paths[-1], markdown(record, rows))
    return [*paths, *draw(rows, folder / "cost", f"at {record.problem['size']} pixels")]


def methods(record: Record) -> list[dict[str, Any]]:
    """One row per method: counts, the update alone, the whole step."""
    names = labels(record)
    return [_method_row(names[key], method) for key, method in record.methods.items()]


def markdown(record: Record, rows: list[dict[str, Any]]) -> str:
    """The sentences, both tables and how it was measured."""
    problem, machine = record.problem, record.facts
    lines = [
        "# What an optimizer's step costs",
        "",
        f"{problem['size']} x {problem['size']} pixels, {problem['backend']} on "
        f"{', '.join(machine['devices'])} ({machine['machine']['cpu']}, "
        f"{machine['machine']['usable_cores']} cores).",
        "",
        *(f"- {row['sentence']}" for row in rows),
        "",
        *_table(_PAIR_COLUMNS, rows),
        "",
        *_table(_METHOD_COLUMNS, methods(record)),
        "",
        "Whole steps: A B B A or B A A B by chance, bounds that hold however often one looks; each "
        "is wrong with a chance of at most alpha. The update alone: median of paired differences "
        "in the quietest rounds, 95 % interval, above a step that updates nothing. Arrays of the "
        "image's size.",
        "",
        *(f"- {_visit(visit)}" for visit in record.visits),
    ]
    return "\n".join(lines) + "\n"


def _visit(visit) -> str:
    how = "; ".join(visit.disturbances) or "alone on the machine"
    return f"{visit.started}, {visit.seconds / 60:.1f} minutes: {how}"


def _method_row(label: str, method: Method) -> dict[str, Any]:
    counts, update = method.counts or Counts(), method.update
    both = counts.read is not None and counts.written is not None
    return {
        "optimizer": label,
        "lr": method.lr,
        "held": counts.held,
        "read": counts.read,
        "written": counts.written,
        "moved": round((counts.read or 0) + (counts.written or 0), 2) if both else None,
        "held_bytes": counts.held_bytes,
        "moved_bytes": counts.moved_bytes,
        "operations": counts.operations,
        "update_us": update and update.value,
        "update_low_us": update and update.low,
        "update_high_us": update and update.high,
        "update_left_out": method.without_update,
        "step_s": method.step_s,
        "evaluations": counts.evaluations,
    }


_PAIR_COLUMNS = {
    "": lambda row: f"{row['label_a']} / {row['label_b']}",
    "update alone (us)": lambda row: _interval(row, "update_us", "update_low_us", "update_high_us"),
    "whole step (%)": lambda row: _shares(row),
    "comparisons": lambda row: str(row["comparisons"]),
    "decision": lambda row: row["decision"],
}
_METHOD_COLUMNS = {
    "": lambda row: row["optimizer"],
    "arrays held": lambda row: _number(row["held"], "{:.3g}"),
    "read + written": lambda row: _sum(row),
    "MB moved": lambda row: _number(row["moved_bytes"] and row["moved_bytes"] / 1e6, "{:.2f}"),
    "operations per value": lambda row: _number(row["operations"], "{:.3g}"),
    "update alone (us)": lambda row: (
        _interval(row, "update_us", "update_low_us", "update_high_us")
        or row["update_left_out"]
        or "-"
    ),
    "step (ms)": lambda row: _number(row["step_s"] and row["step_s"] * 1e3, "{:.4g}"),
    "evaluations per step": lambda row: _number(row["evaluations"], "{:.3g}"),
}


def _table(columns: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(cell(row) for cell in columns.values()) for row in rows]
    return [f"| {line} |" for line in lines]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _sum(row: Mapping[str, Any]) -> str:
    if row["moved"] is None:
        return "-"
    return f"{row['read']:.3g} + {row['written']:.3g} = {row['moved']:.3g}"


def _interval(row: Mapping[str, Any], value: str, low: str, high: str) -> str:
    if row[value] is None:
        return ""
    return f"{row[value]:.0f} ({row[low]:.0f} to {row[high]:.0f})"


def _shares(row: Mapping[str, Any]) -> str:
    if row["ratio"] is None:
        return "-"
    bounds = [f"{100 * (x - 1):+.2f}" if x is not None else "?" for x in (row["low"], row["high"])]
    return f"{100 * (row['ratio'] - 1):+.2f} ({' to '.join(bounds)})"


def _between(low: float, high: float) -> str:
    """Bounds of log ratios in words that "..." follows: "between 0.1 % and 0.4 % more than"."""
    down, up = math.expm1(low), math.expm1(high)
    if low >= 0:
        return f"between {percent(down, math.floor)} and {percent(up, math.ceil)} more than"
    if high <= 0:
        return f"between {percent(up, math.floor)} and {percent(down, math.ceil)} less than"
    return f"between {percent(down, math.ceil)} less and {percent(up, math.ceil)} more than"


def _negative(found: Microseconds) -> Microseconds:
    return Microseconds(value=-found.value, low=-found.high, high=-found.low)


def _ratio(log: float) -> float | None:
    return math.exp(log) if math.isfinite(log) else None


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
    return path


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline=os.linesep)


def draw(rows: list[dict[str, Any]], stem: Path, where: str) -> list[Path]:
    """The forest plot of the whole steps, the margin shaded; nothing where no bounds are known."""
    drawn = [row for row in rows if row["low"] is not None and row["high"] is not None]
    if not drawn:
        return []
    from matplotlib.figure import Figure

    margin = 100 * drawn[0]["margin"]
    figure = Figure(figsize=(7.6, 1.5 + 0.42 * len(drawn)), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(-margin, margin, color="#0072B2", alpha=0.10, linewidth=0)
    axes.axvline(0, color="#333333", linewidth=0.8)
    shown = [abs(100 * (row[end] - 1)) for row in drawn for end in ("low", "high")]
    limit = 1.15 * max([1.5 * margin, *(x for x in shown if x <= WIDEST * margin)])
    for place, row in enumerate(drawn):
        _draw_row(axes, place, row, limit)
    axes.set_yticks(range(len(drawn)), [f"{r['label_a']} / {r['label_b']}" for r in drawn])
    axes.set(xlim=(-limit, limit), ylim=(len(drawn) - 0.4, -0.6))
    axes.set_xlabel("difference of a whole step (%)", fontsize=9)
    axes.set_title(f"What a step costs {where}", fontsize=10.5, loc="left", weight="bold")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=9, left=False)
    note = f"shaded: the margin of {margin:g} %; bars: bounds that hold however often one looks"
    figure.supxlabel(note, fontsize=7.5, color="#555555")
    paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    figure.savefig(paths[0], dpi=160)
    figure.savefig(paths[1], metadata={"Date": None})
    return paths


def _draw_row(axes, place: int, row: Mapping[str, Any], limit: float) -> None:
    low, middle, high = (100 * (row[name] - 1) for name in ("low", "ratio", "high"))
    colour = COLOURS[Decision(row["decision"])]
    inside = [min(max(value, -limit), limit) for value in (low, high)]
    if abs(middle) <= limit:
        axes.plot(inside, [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot(middle, place, "o", color=colour, markersize=5.5)
    else:  # off the scale
        axes.plot(math.copysign(0.97 * limit, middle), place, color=colour,
                  marker=">" if middle > 0 else "<", markersize=8)  # fmt: skip
    outcome = row["decision"] if row["decision"] != Decision.NO_DIFFERENCE else "no difference"
    text = f"{middle:+.2f} ({low:+.2f} to {high:+.2f})  {outcome}"
    axes.annotate(text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8,
                  color="#222222", annotation_clip=False)  # fmt: skip
