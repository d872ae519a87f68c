"""How alike small and large pictures rank the optimizers, as a table."""

import math
from collections.abc import Sequence

import pandas as pd

from nstbench.notation import NONE
from nstbench.report.data.settings import TargetSettings
from nstbench.report.judge.sizes import Agreement
from nstbench.report.judge.targets import Target
from nstbench.report.tables.table import Table

CAPTION = (
    "Rank correlation (Spearman) of the same settings between two sizes: 1, the small size has the "
    "large one's order; 0, it says nothing of it. The mean over pictures, in brackets the lowest "
    "and the highest. Loss: the lowest within the budget that all of them made. Evaluations: to "
    "{target}, at each size its own."
)


def sizes_table(agreements: Sequence[Agreement], settings: TargetSettings) -> Table:
    """A row for every two sizes."""
    frame = pd.DataFrame([_record(each) for each in agreements])
    shown = pd.DataFrame([_shown(each) for each in agreements])
    caption = CAPTION.format(target=Target(settings.decisive, math.nan).name)
    title = "Does the small size predict the large one?"
    return Table("sizes", title, caption, frame, shown, [])


def _record(each: Agreement) -> dict:
    return {
        "small": each.small,
        "large": each.large,
        "settings": each.competitors,
        "pictures": len(each.pictures),
        **_numbers("loss", each.loss),
        **_numbers("evaluations", each.evaluations),
        "same_best": each.best,
    }


def _numbers(name: str, correlations: Sequence[float]) -> dict[str, float]:
    known = pd.Series(correlations).dropna()
    return {name: known.mean(), f"{name}_lowest": known.min(), f"{name}_highest": known.max()}


def _shown(each: Agreement) -> dict[str, str]:
    return {
        "Pixels": f"{each.small} and {each.large}",
        "Settings": str(each.competitors),
        "Pictures": str(len(each.pictures)),
        "Loss": _text(each.loss),
        "Evaluations": _text(each.evaluations),
        "Same best": f"{each.best} of {len(each.pictures)}",
    }


def _text(correlations: Sequence[float]) -> str:
    mean, lowest, highest = _numbers("", correlations).values()
    if math.isnan(mean):
        return NONE
    return f"{mean:.2f}" + (f" ({lowest:.2f} to {highest:.2f})" if lowest < highest else "")
