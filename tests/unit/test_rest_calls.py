"""The threads behind the routes."""

from __future__ import annotations

import threading

from ska_oso_oet.rest.calls import Calls


def of_calls() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith(("rest-call", "rest-stop"))}


def test_all_threads_are_there_before_the_first_call_and_gone_after_the_last() -> None:
    calls = Calls()
    assert len(of_calls()) == Calls.ASKING + Calls.STOPPING
    calls.close()
    assert not of_calls()
