"""What scripts publish: to the journal and to each other, whatever it is and however much."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from ska_oso_oet.event.journal import EventsQuery
from tests.engine.procedure_bench import Bench, S, how

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.event.journal import Event

NOOP = "def main(): pass"
LISTENER = """
    def on_word(n):
        tell("heard", topic="test.word", data={"n": n})

    def on_end(msg_src, request_id, result):
        tell("heard", topic="end", data={"msg_src": msg_src, "result": result})

    def init(*topics, **kwargs):
        for topic in topics:
            pub.subscribe(on_word if topic == "test.word" else on_end, topic)

    def main():
        tell("here")
        forever()
"""


def events_of(bench: Bench, topic: str, since: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        answer = json.loads(
            bench.journal.read(EventsQuery(since=since, limit=10_000, topics=[topic] if topic else []))
        )
        assert not answer["gap"]
        if not answer["events"]:
            return found
        found += answer["events"]
        since = found[-1]["seq"]


# ------------------------------------------------------------ one event


def test_an_event_reaches_the_bus_with_its_source_and_data(bench: Bench) -> None:
    since = bench.journal.last_seq
    pid = bench.run("def main(): pub.sendMessage('a.b.c', number=1, text='\\u2713', nested={'x': [None]})").id
    (event,) = events_of(bench, "a.b.c", since)
    assert (event["topic"], event["msg_src"], event["request_id"]) == ("a.b.c", str(pid), None)
    assert event["data"] == {"number": 1, "text": "\u2713", "nested": {"x": [None]}}


def test_a_script_may_name_the_source_and_the_request(bench: Bench) -> None:
    since = bench.journal.last_seq
    pid = bench.run("def main(): pub.sendMessage('user.script.announce', msg_src='me', msg='hello')").id
    (event,) = events_of(bench, "user.script.announce", since)
    assert (event["msg_src"], event["procedure_id"], event["data"]) == ("me", pid, {"msg": "hello"})


def test_every_event_of_a_procedure_bears_its_number_whatever_its_script_says(bench: Bench) -> None:
    since = bench.journal.last_seq
    pid = bench.run("""
        def main():
            print("written")
            for name in ("1", "SESWorker"):
                pub.sendMessage("test.claim", msg_src=name, procedure_id=1, request_id="r")
                pub.sendMessage("procedure.progress", msg_src=name, progress=18)
    """).id
    everything = events_of(bench, "", since)
    assert {event["procedure_id"] for event in everything} == {pid}
    assert {"procedure.output", "test.claim", "request.procedure.start"} <= {e["topic"] for e in everything}
    claims = events_of(bench, "test.claim", since)
    assert [(e["msg_src"], e["data"]) for e in claims] == [
        ("1", {"procedure_id": 1}),
        ("SESWorker", {"procedure_id": 1}),
    ]


@pytest.mark.parametrize(
    "value",
    [
        "object()",
        "b'bytes'",
        "{1, 2}",
        "float('nan')",
        "float('inf')",
        "lambda: 0",
        "10 ** 5000",
        "loop",
        "deep",
    ],
)
def test_what_is_not_json_is_named_in_the_log_and_the_script_goes_on(bench: Bench, value: str) -> None:
    summary = bench.run(f"""
        loop = []
        loop.append(loop)
        deep = []
        for _ in range(100_000):
            deep = [deep]
        def main():
            tell("bad.event", value={value})
            tell("good", n=1)
    """)
    assert summary.state is S.COMPLETE
    assert bench.told(summary.id, "bad.event") == []
    assert bench.told(summary.id, "good") == [{"n": 1}]
    assert any("an event on test.bad.event was not sent" in line for line in bench.written(summary.id))


def test_an_object_that_only_the_script_can_make_stops_nothing(bench: Bench) -> None:
    summary = bench.run("""
        class Mine:
            def __reduce__(self):
                return (os._exit, (1,))
        def main():
            tell("mine", value=Mine())
            tell("good")
    """)
    assert (summary.state, bench.told(summary.id, "good")) == (S.COMPLETE, [{}])


def test_odd_strings_arrive_as_they_were(bench: Bench) -> None:
    summary = bench.run(r"""
        def main():
            tell("odd", nul="\0", lone="\udcff", astral="\U0001F52D", quote='"\\')
    """)
    assert bench.told(summary.id, "odd") == [
        {"nul": "\0", "lone": "\udcff", "astral": "\U0001f52d", "quote": '"\\'}
    ]


@pytest.mark.parametrize(
    "topic",
    [
        "procedure.lifecycle.statechange",
        "procedure.lifecycle.complete",
        "request.procedure.start",
        "activity.x",
    ],
)
def test_a_script_cannot_speak_for_the_controller(bench: Bench, topic: str) -> None:
    since = bench.journal.last_seq
    data = (
        "**{name: 'COMPLETE' for name in pub.getDefaultTopicMgr().getOrCreateTopic(topic).getArgs()[0] or ()}"
    )
    summary = bench.run(f"def main():\n    topic = {topic!r}\n    pub.sendMessage(topic, {data})")
    assert summary.state is S.COMPLETE
    assert {event["msg_src"] for event in events_of(bench, topic, since)} <= {
        str(summary.id),
        "SESWorker",
        "OETController",
    }
    assert [e["data"]["new_state"] for e in events_of(bench, "procedure.lifecycle.statechange", since)] == [
        state.value for state, _ in summary.history.process_states
    ]
    assert any(f"an event on {topic} was not sent" in line for line in bench.written(summary.id))


def test_an_event_of_10_mb_arrives_whole(bench: Bench) -> None:
    summary = bench.run("""
        def main():
            tell("big", text="x" * 10_000_000)
            tell("after")
    """)
    assert (summary.state, bench.told(summary.id, "after")) == (S.COMPLETE, [{}])
    (event,) = bench.told(summary.id, "big")
    assert event["text"] == "x" * 10_000_000


def test_an_event_that_is_too_big_is_named_in_the_log(bench: Bench) -> None:
    summary = bench.run("""
        def main():
            tell("too.big", text="x" * 70_000_000)
            tell("after")
    """)
    assert (summary.state, bench.told(summary.id, "after")) == (S.COMPLETE, [{}])
    assert any("an event on test.too.big was not sent" in line for line in bench.written(summary.id))


def test_a_huge_progress_message_is_cut_in_the_summary_and_says_so(bench: Bench) -> None:
    since = bench.journal.last_seq
    pid = bench.running("""
        def main():
            pub.sendMessage("procedure.progress", msg_src="me", progress=18, message="x" * 10_000_000)
            pub.sendMessage("procedure.progress", msg_src="me", progress=19, message="x" * 60_000_000)
            tell("here")
            forever()
    """)
    progress = bench.summary(pid).progress
    assert progress is not None
    assert progress.percent == 18
    assert "cut: 10000000 characters" in progress.message
    assert len(bench.summary(pid).to_json()) < 3000
    assert any("an event on procedure.progress was not sent" in line for line in bench.written(pid))
    (event,) = events_of(bench, "procedure.progress", since)
    assert len(event["data"]["message"]) == 10_000_000


def test_what_a_script_makes_up_in_its_channel_is_counted_and_told_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    summary = bench.run("""
        import gc
        from ska_oso_oet.mptools import EventMessage
        from ska_oso_oet.worker.script_worker import ScriptWorker

        def main():
            [worker] = [each for each in gc.get_objects() if isinstance(each, ScriptWorker)]
            for number in range(20_000):
                for content in ({"kind": "state", "state": "READY"}, {"kind": "nonsense"}, None):
                    worker.event_q.put(EventMessage("1", "REPORT", content))
            tell("after")
    """)
    assert (summary.state, bench.told(summary.id, "after")) == (S.COMPLETE, [{}])
    assert bench.written(summary.id) == ["messages that its process may not send were ignored: 60000"]
    ours = [record for record in caplog.records if f"procedure {summary.id}" in record.getMessage()]
    assert len(ours) == 2
    assert not any(record.exc_info for record in caplog.records)


def test_progress_shows_in_the_summary(bench: Bench) -> None:
    pid = bench.running("""
        def main():
            for progress in (-1, 101, "x", None, float("nan"), [50]):
                pub.sendMessage("procedure.progress", msg_src="me", progress=progress, message="bad")
            pub.sendMessage("procedure.progress", msg_src="me", progress=40, message="\\udcff")
            tell("here")
            forever()
    """)
    progress = bench.summary(pid).progress
    assert progress is not None
    assert progress.percent == 40
    assert json.loads(bench.summary(pid).to_json())["progress"]["percent"] == 40


# ------------------------------------------------------------ between scripts


def test_an_event_reaches_another_script_and_not_its_sender(bench: Bench) -> None:
    hearing = bench.ready(LISTENER, "test.word", subarray_id=1)
    sender = bench.run(
        """
        got = []
        def on_word(n):
            got.append(n)
        def init(subarray_id): pub.subscribe(on_word, "test.word")
        def main():
            tell("word", n=1)
            tell("count", n=len(got))
    """,
        subarray_id=2,
    )
    assert bench.heard(hearing, "heard") == {"told": True, "topic": "test.word", "data": {"n": 1}}
    # Its own listener heard it once, from itself, and not again from the controller.
    assert bench.told(sender.id, "count") == [{"n": 1}]
    bench.run("def init(subarray_id): pass\ndef main(): tell('word', n=2)", subarray_id=3)
    bench.until(lambda: len(bench.told(hearing, "heard")) == 2, lambda: str(bench.told(hearing, "heard")))


def test_a_script_hears_the_controller_while_it_runs(bench: Bench) -> None:
    pid = bench.running(LISTENER, "procedure.lifecycle.complete", subarray_id=1)
    other = bench.run("def init(subarray_id): pass\n" + NOOP, subarray_id=2)
    heard = bench.heard(pid, "heard")
    assert heard["topic"] == "end"
    assert heard["data"]["result"]["id"] == other.id
    assert heard["data"]["msg_src"] == "SESWorker"


def test_a_listener_that_fails_costs_the_script_nothing(bench: Bench) -> None:
    pid = bench.ready(
        """
        def bad(n): raise ValueError("in the listener")
        def good(n): tell("good", n=n)
        pub.subscribe(bad, "test.word")
        pub.subscribe(good, "test.other")
        def init(subarray_id): pass
        def main(): pass
    """,
        subarray_id=1,
    )
    sender = "def init(subarray_id): pass\ndef main():\n    tell('word', n=1)\n    tell('other', n=2)"
    bench.run(sender, subarray_id=2)
    assert bench.heard(pid, "good")["n"] == 2
    bench.start(pid)
    assert bench.ended(pid).state is S.COMPLETE
    assert any("ValueError: in the listener" in line for line in bench.written(pid))


def test_a_listener_that_does_not_take_its_events_holds_nobody_up(bench: Bench) -> None:
    deaf = bench.running(
        """
        def on_word(number, text): forever()
        pub.subscribe(on_word, "test.flood")
        def init(subarray_id): pass
        def main():
            tell("here")
            forever()
    """,
        subarray_id=1,
    )
    flood = """
        def init(subarray_id): pass
        def main():
            for number in range(2000):
                tell("flood", number=number, text="x" * 10_000)
    """
    assert bench.run(flood, subarray_id=2).state is S.COMPLETE
    assert bench.summary(deaf).state is S.RUNNING
    summary = bench.stop(deaf)
    assert (summary.state, how(summary).stopped_by) == (S.STOPPED, "SIGTERM")


# ------------------------------------------------------------ a flood


def test_a_flood_is_all_in_the_journal_in_order_and_others_go_on(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(event_journal_length=200_000)
    process = psutil.Process()
    since, before = bench.journal.last_seq, process.memory_info().rss
    pid = bench.ready(
        """
        def init(subarray_id): pass
        def main():
            tell("here")
            for number in range(100_000):
                pub.sendMessage("test.flood", number=number)
    """,
        subarray_id=1,
    )
    bench.start(pid)
    bench.heard(pid, "here")
    other = bench.run("def init(subarray_id): pass\n" + NOOP, subarray_id=2)
    assert other.state is S.COMPLETE
    assert bench.ended(pid, timeout=60).state is S.COMPLETE
    numbers = [event["data"]["number"] for event in events_of(bench, "test.flood", since)]
    assert numbers == list(range(100_000))
    # The journal holds 100,000 events of some 170 characters, and this test has them as objects, each of
    # a kilobyte or more; what has not arrived yet is not here.
    assert process.memory_info().rss - before < 200_000_000


def test_a_flood_waits_in_the_script_while_listeners_are_slow(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(event_journal_length=200_000)
    gate = threading.Event()
    entered = threading.Event()

    def slow(event: Event) -> None:
        if event.topic == "test.flood":
            entered.set()
            assert gate.wait(60)

    bench.engine.bus.subscribe(slow)
    since = bench.journal.last_seq
    pid = bench.ready(
        """
        def init(subarray_id): pass
        def main():
            for number in range(20_000):
                pub.sendMessage("test.flood", number=number)
    """,
        subarray_id=1,
    )
    bench.start(pid)
    assert entered.wait(60)
    # What the listener has not taken waits in the script, where no memory of the controller is used.
    assert bench.pump.backlog < 20_000
    gate.set()
    assert bench.ended(pid, timeout=60).state is S.COMPLETE
    assert len(events_of(bench, "test.flood", since)) == 20_000


def test_a_flooding_script_can_be_stopped(bench: Bench) -> None:
    pid = bench.running("""
        def main():
            tell("here")
            number = 0
            while True:
                number += 1
                pub.sendMessage("test.flood", number=number)
    """)
    summary = bench.stop(pid)
    assert (summary.state, how(summary).stopped_by) == (S.STOPPED, "SIGTERM")


def test_threads_of_a_script_publish_without_garbling_each_other(bench: Bench) -> None:
    since = bench.journal.last_seq
    summary = bench.run("""
        import threading
        def publish(name):
            for number in range(500):
                pub.sendMessage("test.flood", name=name, number=number, text="x" * (number * 7 % 3000))
        def main():
            threads = [threading.Thread(target=publish, args=(name,)) for name in range(4)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
    """)
    assert summary.state is S.COMPLETE
    events = [event["data"] for event in events_of(bench, "test.flood", since)]
    for name in range(4):
        assert [data["number"] for data in events if data["name"] == name] == list(range(500))
