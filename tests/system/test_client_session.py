"""OETClient against a running stack: real events, a killed and a restarted controller."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import tango

from ska_oso_oet.client import DEFAULT_DEVICE, OETClient, Stopped
from ska_oso_oet.client.events import Disconnected, Event, NewEpoch, Reconnected
from ska_oso_oet.errors import (
    ControllerUnreachable,
    InvalidArgument,
    NotFound,
    ProcedureNotFound,
    Rejected,
    WaitTimeout,
)
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput, ProcedureState
from ska_oso_oet.source.script import EmbeddedStringScript

if TYPE_CHECKING:
    from tests.system.stack_process import StackProcess

DEADLINE = 60.0
GOOD = EmbeddedStringScript(script_source="def main(*args, **kwargs):\n    print('done')\n")
FAILING = EmbeddedStringScript(script_source="def main():\n    raise ValueError('no')\n")
ENDLESS = EmbeddedStringScript(script_source="import time\ndef main():\n    while True: time.sleep(0.05)\n")
TALKING = EmbeddedStringScript(
    script_source="from pubsub import pub\n"
    "def main(n):\n"
    "    for i in range(n): pub.sendMessage('test.talk', msg_src='talking', number=i)\n"
)


def _connect(stack: StackProcess) -> OETClient:
    return OETClient(f"tango://{stack.tango_host}/{DEFAULT_DEVICE}")


def test_run(client: OETClient) -> None:
    done = client.run(GOOD, 1, "two", init=ProcedureInput(), timeout=DEADLINE, x=[3])
    assert done.state is ProcedureState.COMPLETE
    assert done.script_args.main == ProcedureInput(1, "two", x=[3])
    failed = client.run(FAILING, timeout=DEADLINE)
    assert failed.state is ProcedureState.FAILED
    assert "ValueError: no" in (failed.history.stacktrace or "")
    assert [item.id for item in client.list()][-2:] == [done.id, failed.id]
    assert client.describe().id == failed.id
    assert "done" in str(client.output(done.id))


def test_steps(client: OETClient) -> None:
    command = PrepareProcessCommand(script=GOOD, script_args=CallArgs(main=ProcedureInput(7)))
    created = client.create(command)
    assert created.command_id is not None
    ready = client.wait(created.id, {ProcedureState.READY}, DEADLINE)
    assert ready.state is ProcedureState.READY
    assert client.start().id == created.id
    assert client.wait(created.id, timeout=DEADLINE).script_args.main.args == [7]


def test_stop(client: OETClient) -> None:
    created = client.create(ENDLESS)
    client.wait(created.id, {ProcedureState.READY}, DEADLINE)
    client.start(created.id)
    stopped = client.stop(run_abort=False, timeout=DEADLINE)
    assert stopped.procedure.id == created.id
    assert stopped.procedure.state is ProcedureState.STOPPED
    assert stopped.done
    assert stopped.abort is None


def test_refusals_are_the_projects_errors(client: OETClient) -> None:
    with pytest.raises(InvalidArgument, match=r"there is no file x\.py"):
        client.create("x.py")
    # Whether this user has created one before depends on who has used the stack.
    with pytest.raises((Rejected, ProcedureNotFound), match=r"not READY|no procedure has been created"):
        client.start()
    with pytest.raises(Rejected):
        client.start(4711)
    with pytest.raises(Rejected):
        client.stop()
    with pytest.raises(ProcedureNotFound, match="4711"):
        client.describe(4711)
    with pytest.raises(ProcedureNotFound):
        client.wait(4711)
    with pytest.raises(NotFound):
        client.output(4711)


def test_a_wait_ends_in_time(client: OETClient) -> None:
    created = client.create(ENDLESS)
    with pytest.raises(WaitTimeout, match=f"procedure {created.id} is still"):
        client.wait(created.id, timeout=0.5)


def test_many_waits_at_once(client: OETClient) -> None:
    created = [client.create(GOOD) for _ in range(4)]
    for procedure in created:
        client.wait(procedure.id, {ProcedureState.READY}, DEADLINE)

    def wait(number: int) -> ProcedureState:
        with tango.EnsureOmniThread():
            return client.wait(number, timeout=DEADLINE).state

    with ThreadPoolExecutor(4) as pool:
        waits = [pool.submit(wait, procedure.id) for procedure in created]
        for procedure in created:
            client.start(procedure.id)
            client.wait(procedure.id, timeout=DEADLINE)
        assert {each.result(DEADLINE) for each in waits} == {ProcedureState.COMPLETE}


def test_every_event_of_a_burst_exactly_once(client: OETClient) -> None:
    count = 5000
    with client.events(["test.talk"]) as stream:
        done = client.run(TALKING, count, timeout=DEADLINE)
        assert done.state is ProcedureState.COMPLETE, done.exit
        items = list(stream.drain())
    assert [item.data["number"] for item in items if isinstance(item, Event)] == list(range(count))
    assert len(items) == count


def test_a_closed_stream_leaves_nothing(client: OETClient) -> None:
    before = set(threading.enumerate())
    stream = client.events(since=0)
    stream.get(DEADLINE)
    stream.close()
    assert stream.get(0) is None
    new = set(threading.enumerate()) - before
    assert not [thread for thread in new if not isinstance(thread, threading._DummyThread)]


def test_nobody_there() -> None:
    with OETClient("tango://127.0.0.1:1/a/b/c#dbase=no") as client:
        with pytest.raises(ControllerUnreachable, match=r"127\.0\.0\.1:1/a/b/c"):
            client.list()
        with pytest.raises(ControllerUnreachable):
            client.events()


def test_a_killed_controller_is_survived(own_stack: StackProcess) -> None:
    """The controller is started again by the stack; what was waited for is gone, and that is said."""
    with _connect(own_stack) as client, client.events() as stream:
        created = client.create(ENDLESS)
        client.wait(created.id, {ProcedureState.READY}, DEADLINE)
        first = stream.epoch
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(_wait, client, created.id)
            # Known to the subscription before the end: a wait that never began would prove nothing.
            with pytest.raises(TimeoutError):
                waiting.result(1)
            own_stack.named("OETController").kill()
            assert waiting.result(DEADLINE) is ProcedureState.FAILED
        kinds: list[type] = []
        while NewEpoch not in kinds:
            item = stream.get(DEADLINE)
            assert item is not None, kinds
            kinds.append(type(item))
        assert stream.epoch != first
        assert kinds.count(Disconnected) == kinds.count(Reconnected)
        assert client.run(GOOD, timeout=DEADLINE).state is ProcedureState.COMPLETE
        assert "COMPLETE" in [
            item.data.get("new_state") for item in stream.drain() if isinstance(item, Event)
        ]


STUBBORN = EmbeddedStringScript(
    script_name="stubborn",
    script_source="import time\n"
    "def main():\n"
    "    while True:\n"
    "        try: time.sleep(60)\n"
    "        except BaseException: print('no', flush=True)\n",
)


def test_a_stop_whose_controller_is_killed_says_what_became_of_it(own_stack: StackProcess) -> None:
    with _connect(own_stack) as client:
        created = client.create(STUBBORN)
        client.wait(created.id, {ProcedureState.READY}, DEADLINE)
        client.start(created.id)
        client.wait(created.id, {ProcedureState.RUNNING}, DEADLINE)
        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(_stop, client, created.id)
            # It refuses the first rung of the ladder, and the second comes 2 s later.
            own_stack.wait_until(lambda: "no" in str(client.output(created.id)), "the begin of the stop")
            own_stack.named("OETController").kill()
            stopped = stopping.result(DEADLINE)
    assert stopped.procedure.state is ProcedureState.FAILED
    assert stopped.abort == {"state": None, "message": "not run: the controller was lost during the stop"}
    assert not stopped.done


def _stop(client: OETClient, number: int) -> Stopped:
    with tango.EnsureOmniThread():
        return client.stop(number, timeout=DEADLINE)


def _wait(client: OETClient, number: int) -> ProcedureState:
    with tango.EnsureOmniThread():
        return client.wait(number, timeout=DEADLINE).state
