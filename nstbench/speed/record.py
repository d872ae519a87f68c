"""A session on record: what it has found so far, and for what it was found.

The same command on the same machine, with the same versions and code, goes on where it was stopped.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nstbench
from nstbench.files import replacing
from nstbench.speed import goals
from nstbench.speed.goals import Fresh, Session
from nstbench.speed.options import Options

# Options that say how much is measured or how it is judged, not what a number means.
NOT_KEY = {
    "sizes", "cpu_sizes", "accelerator_sizes", "rounds", "curve", "fresh", "tolerance",
    "own_tolerance", "out", "force", "goals",
}  # fmt: skip


def key(options: Options, machine: Mapping[str, Any], versions: Mapping[str, Any]) -> str:
    """Equal where numbers may stand in one table: machine, versions, code and way of measuring."""
    chosen = {name: value for name, value in asdict(options).items() if name not in NOT_KEY}
    text = json.dumps([chosen, machine, versions, _code()], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _code() -> str:
    package = Path(nstbench.__file__).parent
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        total.update(f"{path.relative_to(package)}\n".encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def save(path: Path, of: str, session: Session, facts: Mapping[str, Any]) -> None:
    """Write the session with its key and the `facts` for a person."""
    found = {
        "matrix_product_flops_per_s": session.rate,
        "overhead_s_per_step": session.overhead_s,
        "cost_exponent": goals.fitted_exponent(session.curve),
    }
    held = {**facts, **found, "key": of, "measured": _packed(session)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(held, indent=1, default=str) + "\n")


def load(path: Path, of: str) -> Session | None:
    """The session on record under this key; None where there is none, or another's."""
    try:
        held = json.loads(path.read_text())
        return _unpacked(held["measured"]) if held["key"] == of else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _packed(session: Session) -> dict[str, Any]:
    keyed = {
        name: {f"{peer} {size}": value for (peer, size), value in getattr(session, name).items()}
        for name in ("evaluation", "step", "agreement", "missing")
    }
    fresh = {f"{peer} {size}": asdict(each) for (peer, size), each in session.fresh.items()}
    plain = ("notes", "products", "product_flops", "overhead_s", "curve")
    return keyed | {"fresh": fresh} | {name: getattr(session, name) for name in plain}


def _unpacked(held: dict[str, Any]) -> Session:
    def by_peer(name: str) -> dict[tuple[str, int], Any]:
        pairs = ((key.split(), value) for key, value in held[name].items())
        return {(peer, int(size)): value for (peer, size), value in pairs}

    return Session(
        evaluation=by_peer("evaluation"),
        step=by_peer("step"),
        agreement={key: tuple(value) for key, value in by_peer("agreement").items()},
        fresh={key: Fresh(**value) for key, value in by_peer("fresh").items()},
        curve={int(size): seconds for size, seconds in held["curve"].items()},
        missing=by_peer("missing"),
        notes=held["notes"],
        products=held["products"],
        product_flops=held["product_flops"],
        overhead_s=held["overhead_s"],
    )
