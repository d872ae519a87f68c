"""Compiled programs on disk: what cannot be believed is a miss, and never an error."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from keras import ops

from nstbench.engine import programs

BACKEND = keras.backend.backend()
NAME, PROGRAM = "a1b2", b"machine code" * 100


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path / "programs"))
    return tmp_path / "programs"


def open_kept(packages=("numpy",), settings=""):
    return programs.kept("jax", packages, settings)


@pytest.fixture
def kept(folder):
    found = open_kept()
    found.put(NAME, PROGRAM)
    return found


def entry(folder):
    (path,) = (folder / "jax").glob("*.program")
    return path


def test_a_program_comes_back_in_another_process(kept, folder):
    assert kept.get(NAME) == open_kept().get(NAME) == PROGRAM
    assert list(open_kept().names()) == [NAME]
    assert kept.get("other") is None
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def cut_to_the_code(path):
    path.write_bytes(path.read_bytes()[:32])


def emptied(path):
    path.write_bytes(b"")


def one_bit(path):
    held = bytearray(path.read_bytes())
    held[-5] ^= 1
    path.write_bytes(held)


def longer(path):
    path.write_bytes(path.read_bytes() + b"\0")


def forged(path):
    """By somebody who knows the form and not the key."""
    import hmac

    path.write_bytes(hmac.digest(b"", PROGRAM, "sha256") + PROGRAM)


def renamed(path):
    """A program that is believed, in the place of another."""
    kept = open_kept()
    kept.put("another", b"other code")
    os.replace(kept._path("another"), path)


def linked(path):
    target = path.with_name("elsewhere")
    os.replace(path, target)
    path.symlink_to(target)


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def open_to_all(path):
    path.chmod(0o666)


DAMAGES = (
    cut, cut_to_the_code, emptied, one_bit, longer, forged, renamed, linked, a_folder, a_pipe,
    open_to_all,
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_entry_that_is_damaged_cut_or_hostile_is_a_miss_and_is_replaced(kept, folder, damage):
    damage(entry(folder))
    assert kept.get(NAME) is None
    kept.put(NAME, PROGRAM)
    assert kept.get(NAME) == (None if damage is a_folder else PROGRAM)


def test_an_endless_entry_is_a_miss(kept, folder, monkeypatch):
    monkeypatch.setattr(programs, "LARGEST", len(PROGRAM))
    assert kept.get(NAME) is None


@pytest.mark.parametrize("cause", ["version", "processor", "cores", "flags", "settings"])
def test_an_entry_of_another_machine_or_version_is_a_miss(kept, monkeypatch, cause):
    if cause == "version":
        monkeypatch.setattr(programs.metadata, "version", lambda name: "0.0.1")
    elif cause == "processor":
        monkeypatch.setattr(programs, "_processor", lambda: "flags: fpu vme")
    elif cause == "cores":
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 4, 5, 6}, False)
    elif cause == "flags":
        monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert open_kept(settings="tf32" if cause == "settings" else "").get(NAME) is None


def test_entries_under_another_key_are_misses(kept, folder):
    (folder / "key").unlink()
    assert open_kept().get(NAME) is None


@pytest.mark.parametrize("damage", [open_to_all, cut, linked, emptied])
def test_a_key_that_others_could_know_keeps_nothing(kept, folder, damage):
    damage(folder / "key")
    assert open_kept() is None


def test_no_folder_no_programs(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path / "file"))
    assert open_kept() is None
    monkeypatch.setenv(programs.VARIABLE, "off")
    assert open_kept() is None


def test_a_full_disk_is_no_error(kept, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(programs, "replacing", full)
    kept.put("other", PROGRAM)
    assert kept.get("other") is None and kept.get(NAME) == PROGRAM


def test_the_one_used_longest_ago_makes_room(kept, monkeypatch):
    monkeypatch.setattr(programs, "MOST", 3)
    for age, name in enumerate(["b", "c", NAME]):
        kept.put(name, PROGRAM)
        os.utime(kept._path(name), (1e9 + age, 1e9 + age))
    assert kept.get("b") == PROGRAM  # and is the newest by that
    kept.put("d", PROGRAM)
    assert set(kept.names()) == {"b", "d", NAME}


# ---------------------------------------------------------------- TensorFlow

ONE_EVALUATION = """
import numpy as np
from keras import ops
from nstbench import engine as engines
engine = engines.load(purpose="a test")
cube = engine.compile(lambda x: ops.sum(ops.tanh(x) * x * x))
print(float(cube(ops.convert_to_tensor(np.linspace(0, 1, 1000, dtype="float32")))).hex())
"""


def one_evaluation(folder):
    """Its value, the entries in the folder, and whether anything was left in the system's."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_EVALUATION], capture_output=True, text=True, check=True,
        env=os.environ | {"KERAS_BACKEND": "tensorflow", "TMPDIR": str(folder.parent)},
    )  # fmt: skip
    assert not list(folder.parent.glob("nstbench-programs-*"))
    (path,) = (folder / "tensorflow").glob("*.program")
    return done.stdout, path


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's own")
def test_tensorflow_reads_what_is_believed_and_compiles_the_rest(folder):
    value, path = one_evaluation(folder)
    believed = path.read_bytes()
    assert one_evaluation(folder) == (value, path) and path.read_bytes() == believed
    cut(path)
    assert one_evaluation(folder) == (value, path)
    assert path.stat().st_size == len(
        believed
    )  # compiled anew, and kept in the damaged one's place


# ---------------------------------------------------------------- JAX


@pytest.fixture
def compiled(folder, monkeypatch):
    """What JAX compiled, and a function that evaluates a new engine's program."""
    if BACKEND != "jax":
        pytest.skip("JAX's own; test_backends.py comes by")
    import jax

    from nstbench import engine as engines
    from nstbench.engine import jax as jax_engine

    seen, compile = [], jax.stages.Lowered.compile
    monkeypatch.setattr(jax_engine, "LEAST", 0)
    monkeypatch.setattr(
        jax.stages.Lowered, "compile", lambda self: seen.append(self) or compile(self)
    )

    def evaluate(shape=(7, 5)):
        function = engines.load("cpu").compile(lambda x, y: {"sum": ops.sum(ops.tanh(x) * y["z"])})
        x = ops.cos(ops.reshape(ops.arange(shape[0] * shape[1], dtype="float32"), shape))
        return float(function(x, {"z": x * 3})["sum"]), function

    return seen, evaluate


def test_jax_compiles_once_and_what_cannot_be_believed_again(compiled, folder):
    seen, evaluate = compiled
    value, _ = evaluate()
    assert evaluate()[0] == value and len(seen) == 1
    for number, damage in enumerate((one_bit, cut, forged, linked), start=2):
        damage(entry(folder))
        assert evaluate()[0] == value and len(seen) == number
        assert evaluate()[0] == value and len(seen) == number


def test_jax_compiles_where_a_believed_entry_is_no_program(compiled, folder):
    seen, evaluate = compiled
    value, _ = evaluate()
    name = bytes.fromhex(Path(entry(folder)).stem).decode()
    programs.kept("jax", ("jax", "jaxlib")).put(name, b"rubbish")
    assert evaluate()[0] == value and len(seen) == 2


def test_jax_takes_arguments_of_any_shape(compiled):
    seen, evaluate = compiled
    _, function = evaluate()
    other = ops.ones((2, 3))
    assert float(function(other, {"z": other})["sum"]) == pytest.approx(6 * 0.7615942)
    assert evaluate((4, 4))[0] != evaluate()[0]
