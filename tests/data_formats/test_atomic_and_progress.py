"""Output that is whole or absent, and how far a job is."""

import os
import platform
import subprocess
import time

import pytest

from xabl.errors import UserError
from xabl.support import progress
from xabl.support.atomic import new_directory, new_file


@pytest.mark.parametrize("new", [new_file, new_directory])
def test_nothing_is_left_of_a_failed_attempt(tmp_path, new):
    for failure in (ValueError, KeyboardInterrupt):
        with pytest.raises(failure):
            with new(tmp_path / "out") as temporary:
                if new is new_file:
                    temporary.write_text("half")
                else:
                    (temporary / "part").write_text("half")
                raise failure
        assert os.listdir(tmp_path) == []


def test_file_appears_when_the_block_ends(tmp_path):
    with new_file(tmp_path / "folder" / "out") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "folder" / "out").exists()
    assert (tmp_path / "folder" / "out").read_text() == "whole"
    assert os.listdir(tmp_path / "folder") == ["out"]


def test_directory_is_replaced_as_a_whole(tmp_path):
    for content in ("first", "second"):
        with new_directory(tmp_path / "out", overwrite=True) as temporary:
            (temporary / content).write_text("")
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(tmp_path / "out") == ["second"]


def test_what_exists_is_kept_unless_told(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    for new, name in ((new_file, "file"), (new_directory, "folder")):
        with pytest.raises(UserError, match=f"{name} exists already"):
            with new(tmp_path / name):
                raise AssertionError("never entered")
    assert (tmp_path / "file").read_text() == "old"


def test_what_is_something_else_is_never_replaced(tmp_path):
    """A folder by a file, somebody's folder by ours, a device by anything."""
    folder, pipe = tmp_path / "folder", tmp_path / "pipe"
    folder.mkdir()
    (folder / "precious").write_text("old")
    os.mkfifo(pipe)
    attempts = [
        (new_file(folder, overwrite=True), "is no file"),
        (new_file(pipe, overwrite=True), "is no file"),
        (new_directory(pipe, overwrite=True), "is no folder"),
        (new_directory(folder / "precious", overwrite=True), "is no folder"),
        (new_directory(folder, overwrite=True, holds="ours"), "no ours in it"),
        (new_file(folder / "precious", overwrite=True, begins=b"ours"), "else"),
    ]
    for attempt, why in attempts:
        with pytest.raises(UserError, match=f"{why}.*never replaced; choose another"):
            with attempt:
                raise AssertionError("never entered")
    assert (folder / "precious").read_text() == "old" and pipe.is_fifo()
    for ours in ("ours, older", ""):  # what is empty is nobody's
        (folder / "ours").write_text(ours)
        with new_file(folder / "ours", overwrite=True, begins=b"ours") as temporary:
            temporary.write_text("ours, new")
        assert (folder / "ours").read_text() == "ours, new"
    with new_directory(folder, overwrite=True, holds="ours"):
        pass
    assert os.listdir(folder) == []
    with new_directory(folder, overwrite=True, holds="ours") as temporary:
        (temporary / "ours").write_text("new")
    assert os.listdir(folder) == ["ours"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path, there):
    """As results on a larger disk; nothing is left beside either."""
    far, near = tmp_path / "far", tmp_path / "near"
    far.mkdir(), near.mkdir()
    if there:
        (far / "file").write_text("old")
        (far / "folder").mkdir()
    for name in ("file", "folder"):
        (near / name).symlink_to(far / name)
    with new_file(near / "file", overwrite=True) as temporary:
        temporary.write_text("new")
    with new_directory(near / "folder", overwrite=True) as temporary:
        (temporary / "new").write_text("")
    assert (far / "file").read_text() == "new"
    assert os.listdir(far / "folder") == ["new"]
    assert all((near / name).is_symlink() for name in ("file", "folder"))
    assert sorted(os.listdir(near)) == sorted(os.listdir(far)) == ["file", "folder"]


@pytest.fixture(scope="module")
def dead():
    """The number of a process that is gone."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize("new", [new_file, new_directory])
def test_what_a_killed_process_left_is_removed(tmp_path, new, dead):
    host, parent = platform.node(), os.getppid()
    for number in (dead, 10**20):  # which no process can have
        (tmp_path / f".out.{host}.{number}.partial").mkdir()
    old = tmp_path / f".out.{host}.{dead}.old"
    old.write_text("") if new is new_file else old.mkdir()
    others = {
        f".out.{host}.{parent}.partial",  # still running
        f".out.elsewhere.{dead}.partial",  # of another machine
        f".out.{host}.notes",
        f".out2.{host}.{dead}.partial",
    }
    for name in others:
        (tmp_path / name).write_text("")
    for _ in range(2):
        with new(tmp_path / "out", overwrite=True) as temporary:
            if new is new_file:
                temporary.write_text("")
    assert set(os.listdir(tmp_path)) == {"out", *others}


def test_a_directory_survives_a_kill_while_it_was_replaced(tmp_path, dead):
    old = tmp_path / f".out.{platform.node()}.{dead}.old"
    old.mkdir()
    (old / "precious").write_text("")
    with pytest.raises(UserError, match="out exists already"):
        with new_directory(tmp_path / "out"):
            raise AssertionError("never entered")
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(tmp_path / "out") == ["precious"]


def test_unwritable_place_is_named():
    with pytest.raises(UserError, match="/proc/nowhere/out cannot be written"):
        with new_file("/proc/nowhere/out"):
            raise AssertionError("never entered")


def test_progress_is_lines_where_there_is_no_terminal(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Progress(10, "images", first="reading") as shown:
        for _ in range(10):
            now[0] += 10.0
            shown.update()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        " 40% 4/10 images [00:40<01:00]",
        " 80% 8/10 images [01:20<00:20]",
        "100% 10/10 images [01:40<00:00]",
    ]


def test_progress_is_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    with progress.Progress(4, "images", first="reading") as shown:
        shown.update(4)
    err = capsys.readouterr().err
    assert "4/4" in err
    assert "\r" in err


@pytest.mark.parametrize("on_terminal", [True, False])
def test_what_is_waited_for_is_said_while_nothing_is_done(
    capsys, monkeypatch, on_terminal
):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: on_terminal)
    monkeypatch.setattr(progress, "SECONDS_OF_SILENCE", 0.02)
    said, deadline = "", time.monotonic() + 60
    with progress.Progress(4, "images", first="compiling") as shown:
        shown.update(0)
        while " s, none of 4 images yet: compiling" not in said:
            assert time.monotonic() < deadline
            said += capsys.readouterr().err
        time.sleep(0.1)
        shown.update(4)
    # And then only every half minute.
    assert "yet" not in capsys.readouterr().err


def test_what_moves_at_once_needs_no_word(capsys):
    with progress.Progress(4, "images", first="compiling") as shown:
        shown.update(1)
        shown._waiting.join(timeout=60)
        assert not shown._waiting.is_alive()  # nobody is left to say it
    assert "yet" not in capsys.readouterr().err
