"""One notation of a number, for terminal, tables, figures and page alike."""

import math
from collections.abc import Mapping
from typing import Any

NONE = "—"


def number(value: float | None, digits: int = 4) -> str:
    """`digits` significant digits: 0.1235, 371400, 1.5e7, 2e-6; "—" where there is none."""
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= 1e6 or 0 < abs(rounded) < 1e-4:
        mantissa, exponent = f"{rounded:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}e{int(exponent)}"
    return f"{rounded:.10f}".rstrip("0").rstrip(".") if rounded % 1 else f"{rounded:.0f}"


def setting(value: Any) -> str:
    """A setting's value; six digits are told of a number, for settings are to be typed again."""
    return number(value, 6) if isinstance(value, float) else str(value)


def assigned(settings: Mapping[str, Any]) -> list[str]:
    """Settings as they are typed: "beta_1=0.5"."""
    return [f"{name}={setting(value)}" for name, value in settings.items()]


def short(value: float) -> str:
    """Three digits, as on an axis or below a picture."""
    return number(value, 3) if abs(value) < 1000 or abs(value) >= 1e6 else number(value, 4)


def count(n: int, noun: str) -> str:
    """ "1 run", "3 runs"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def listed(words: list[str], last: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    *rest, end = words or [""]
    return f"{', '.join(rest)} {last} {end}" if rest else end
