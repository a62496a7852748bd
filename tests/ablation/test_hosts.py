"""Processes that are to find each other, and do not."""

import threading

import jax
import pytest

from xabl.errors import UserError
from xabl.support import hosts


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("10.0.0.1", 2, 0), "--coordinator=10.0.0.1: give address:port"),
        (("10.0.0.1:port", 2, 0), "--coordinator=10.0.0.1:port: give address:port"),
        ((":1234", 2, 0), "--coordinator=:1234: give address:port"),
        (("10.0.0.1:1", 0, 0), "--hosts=0: give how many"),
        (("10.0.0.1:1", 2, 2), "--host=2: of 2 hosts; give 0 to 1"),
        (("10.0.0.1:1", 2), "--hosts and --host are needed too"),
        ((None, 2, 0), "give --coordinator too"),
    ],
)
def test_flags_that_name_no_hosts(given, said, monkeypatch):
    monkeypatch.setattr(jax.distributed, "initialize", None)  # it is not come to
    with pytest.raises(UserError, match=said):
        hosts.connect(*given)


def test_who_waits_says_so_and_ends_with_a_message(monkeypatch, capsys):
    """JAX would say nothing for minutes, and end the process from C++."""
    ended = threading.Event()
    monkeypatch.setattr(hosts, "_SECONDS_TO_A_WORD", 0.05)
    monkeypatch.setattr(hosts, "_SECONDS_TO_MEET", 1.0)
    monkeypatch.setattr(hosts.os, "_exit", lambda status: ended.set())
    monkeypatch.setattr(
        jax.distributed, "initialize", lambda **flags: ended.wait(timeout=60)
    )
    hosts.connect("10.0.0.1:1", 2, 1)
    assert ended.is_set()
    first, last = capsys.readouterr().err.splitlines()
    who = "--coordinator=10.0.0.1:1: host 1 of 2"
    assert first.startswith(f"{who} waits for the others")
    assert last.startswith(f"{who} has met no others in 1 s. Start all hosts")


def test_who_is_found_says_nothing(monkeypatch, capsys):
    monkeypatch.setattr(jax.distributed, "initialize", lambda **flags: None)
    hosts.connect("10.0.0.1:1", 2, 1)
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(timeout=60)
            assert not thread.is_alive()  # nobody is left to say it
    assert capsys.readouterr().err == ""
