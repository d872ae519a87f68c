"""What `conf/` says of an optimizer by its name: how people call it, how it looks, its defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nstbench.files import conf_dir
from nstbench.notation import setting

RESERVED = {
    "name",
    "target",
    "label",
    "note",
    "lr",
    "box",
    "space",
    "colour",
    "defaults",
    "choices",
    "limits",
}  # no hyperparameters


@dataclass(frozen=True)
class Preset:
    """One optimizer's YAML; `marker` and `dash` may be fixed in `conf/report/looks.yaml`.

    `note` is what whoever reads its place in a ranking should know.
    """

    label: str
    target: str = ""
    note: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    lr: float | None = None
    colour: str | None = None
    marker: str | None = None
    dash: str | None = None


def load() -> dict[str, Preset]:
    """All that `conf/optimizer` and `conf/report/looks.yaml` name."""
    looks = read_yaml(conf_dir() / "report" / "looks.yaml")["optimizers"]
    files = sorted((conf_dir() / "optimizer").glob("*.yaml"))
    presets = {path.stem: read_yaml(path) for path in files}
    return {
        name: _preset(name, presets.get(name, {}), looks.get(name, {}))
        for name in {**presets, **looks}
    }


def label_of(settings: Mapping[str, Any]) -> str:
    """Optimizer and rate of a run's settings: "Adam 0.02"."""
    method = settings["optimizer"]
    label = method.get("label") or load().get(method["name"], Preset(method["name"])).label
    return label if settings.get("lr") is None else f"{label} {setting(settings['lr'])}"


def _preset(name: str, preset: Mapping[str, Any], look: Mapping[str, str]) -> Preset:
    options = {key: value for key, value in preset.items() if key not in RESERVED}
    return Preset(
        label=preset.get("label") or look.get("label") or name,
        target=preset.get("target", ""),
        note=preset.get("note", ""),
        options=options,
        lr=preset.get("lr"),
        colour=preset.get("colour") or look.get("colour"),
        marker=look.get("marker"),
        dash=look.get("dash"),
    )


def read_yaml(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
