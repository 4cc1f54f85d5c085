"""Every topic takes the data that the original's manual documents for it."""

from __future__ import annotations

from typing import Any, Final

import pytest
from pubsub import pub
from pubsub.core import Publisher

from ska_oso_oet.event import topics
from ska_oso_oet.event.tree import topic_names

SUMMARY: Final = ("request_id", "result")
SCAN: Final = ("sb_id", "scan_id")
DOCUMENTED: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "activity.lifecycle.running": (SUMMARY,),
    "activity.pool.list": (SUMMARY,),
    "procedure.lifecycle.complete": (SUMMARY,),
    "procedure.lifecycle.created": (SUMMARY,),
    "procedure.lifecycle.failed": (SUMMARY,),
    "procedure.lifecycle.ready": (SUMMARY,),
    "procedure.lifecycle.stacktrace": (("stacktrace",),),
    "procedure.lifecycle.started": (SUMMARY,),
    "procedure.lifecycle.statechange": (("new_state",),),
    "procedure.lifecycle.stopped": (SUMMARY,),
    "procedure.pool.list": (SUMMARY,),
    "request.activity.list": (("request_id",), ("request_id", "activity_ids")),
    "request.activity.run": (("request_id", "cmd"),),
    "request.procedure.create": (("request_id", "cmd"),),
    "request.procedure.list": (("request_id",), ("request_id", "pids")),
    "request.procedure.start": (("request_id", "cmd"),),
    "request.procedure.stop": (("request_id", "cmd"),),
    "sb.lifecycle.allocated": (("sb_id",),),
    "sb.lifecycle.observation.finished.failed": (("sb_id",),),
    "sb.lifecycle.observation.finished.succeeded": (("sb_id",),),
    "sb.lifecycle.observation.started": (("sb_id",),),
    "scan.lifecycle.configure.complete": (SCAN,),
    "scan.lifecycle.configure.failed": (SCAN,),
    "scan.lifecycle.configure.started": (SCAN,),
    "scan.lifecycle.end.failed": (SCAN,),
    "scan.lifecycle.end.succeeded": (SCAN,),
    "scan.lifecycle.start": (("sb_id",), SCAN),
    "subarray.configured": (("subarray_id",),),
    "subarray.fault": (("subarray_id", "error"),),
    "subarray.resources.allocated": (("subarray_id",),),
    "subarray.resources.deallocated": (("subarray_id",),),
    "subarray.scan.finished": (("subarray_id",),),
    "subarray.scan.started": (("subarray_id",),),
    "user.script.announce": (("msg",),),
}
"""What the manual's signatures require, and what they allow; without `msg_src`, which all have."""
CASES: Final = [(topic, names) for topic, signatures in DOCUMENTED.items() for names in signatures]


@pytest.fixture(scope="module")
def publisher() -> Publisher:
    publisher = Publisher()
    publisher.getTopicMgr().addDefnProvider(topics, pub.TOPIC_TREE_FROM_CLASS)
    return publisher


@pytest.mark.parametrize(("topic", "names"), CASES)
def test_a_documented_event_can_be_published(
    topic: str, names: tuple[str, ...], publisher: Publisher
) -> None:
    assert topic in topic_names()
    heard: list[dict[str, Any]] = []

    def listener(**data: Any) -> None:
        heard.append(data)

    sent = {"msg_src": "script", **dict.fromkeys(names, 1)}
    publisher.subscribe(listener, topic)
    publisher.sendMessage(topic, **sent)
    assert heard == [heard[0] | sent]


@pytest.mark.parametrize(("topic", "signatures"), DOCUMENTED.items())
def test_a_listener_with_the_documented_signature_fits(
    topic: str, signatures: tuple[tuple[str, ...], ...], publisher: Publisher
) -> None:
    required, optional = publisher.getTopicMgr().getOrCreateTopic(topic).getArgs()
    assert set(required) == {"msg_src", *signatures[0]}
    assert set(optional) == set(signatures[-1]) - set(signatures[0])
