"""Compiled programs on disk: what cannot be believed is a miss, and never an error."""

import os
import stat

import pytest

from nstbench.engine import programs

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
