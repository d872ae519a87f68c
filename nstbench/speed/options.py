"""Settings of the speed command: `conf/speed.yaml`, then `name=value` arguments."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from nstbench import errors


@dataclass(frozen=True)
class Peer:
    """A competitor: how tables call it, and what its process is started with."""

    label: str
    backend: str | None = None  # its KERAS_BACKEND; None: the session's own
    kernels: str | None = None  # nstbench's setting; None: it is not nstbench


PEERS = {
    "nstbench": Peer("nstbench", kernels="auto"),
    "nstbench_jax": Peer("nstbench on JAX", "jax", "auto"),
    "nstbench_torch": Peer("nstbench on PyTorch", "torch", "auto"),
    "direct": Peer("nstbench, direct kernels", kernels="direct"),
    "tutorial": Peer("Keras + GradientTape", "tensorflow"),
    "torch": Peer("PyTorch loop", "torch"),
    "torch_cl": Peer("PyTorch loop, channels_last", "torch"),
    "pastiche": Peer("pastiche", "torch"),
}
LABELS = {name: peer.label for name, peer in PEERS.items()}
OTHER_LOOPS = [name for name, peer in PEERS.items() if peer.kernels is None]


@dataclass
class Goal:
    """`measure` of nstbench, or of the row `ours`, beside `peer` at `size`: at most `most`."""

    measure: str
    peer: str | None
    size: int | None
    most: float
    ours: str = "nstbench"


@dataclass
class Options:
    """See `conf/speed.yaml` for the meaning of each."""

    sizes: list[int] | None
    cpu_sizes: list[int]
    accelerator_sizes: list[int]
    rounds: int
    warm_up: int
    sample_s: float
    pause_s: float
    peers: list[str]
    curve: list[int]
    fresh: bool
    matrix: int
    tolerance: float
    own_tolerance: float
    weights: str
    device: str
    out: str
    force: bool
    goals: list[Goal]


def resolve(arguments: Sequence[str]) -> Options:
    """The options. Raises `SettingsError`, in one line, for a name or value that cannot be used."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from nstbench.files import conf_dir

    known = {each.name for each in fields(Options)} - {"goals"}
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if not equals:
            raise errors.SettingsError(f"cannot read {argument!r}; settings look like rounds=5")
        if name not in known:
            raise errors.unknown("setting", name, known)
    defaults = OmegaConf.load(conf_dir() / "speed.yaml")
    try:
        given = OmegaConf.create(
            {n: _value(v) for n, _, v in (a.partition("=") for a in arguments)}
        )
        merged = OmegaConf.merge(OmegaConf.structured(Options), defaults, given)
        options = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key, text = getattr(error, "full_key", None), str(error).splitlines()[0]
        raise errors.SettingsError(f"{key}: {text}" if key else text) from None
    _check(options)
    return options


def _value(text: str):
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise errors.SettingsError(f"cannot read {text!r}; a list is written [256,512]") from None


def _check(options: Options) -> None:
    for peer in options.peers:
        if peer not in PEERS:
            raise errors.unknown("peer", peer, PEERS)
    if "nstbench" not in options.peers:
        raise errors.SettingsError("peers needs nstbench: everything is compared with it")
    for size in [*(options.sizes or ()), *options.curve]:
        if size < 32:
            raise errors.SettingsError(f"size {size} must be at least 32")
    least = {"rounds": 1, "warm_up": 0, "matrix": 1, "sample_s": 0, "pause_s": 0}
    errors.check_least(options, least)
    if options.sizes == []:
        raise errors.SettingsError("sizes is empty; give at least one, e.g. sizes=[256]")
