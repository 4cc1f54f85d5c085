"""ScriptWorker: loads a script in a process of its own and calls its functions when told to."""

from __future__ import annotations

import os
import queue
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pubsub import pub
from pubsub.core import INotificationHandler

from ska_oso_oet.event import topics
from ska_oso_oet.event.bus import topic_names
from ska_oso_oet.event.journal import is_reserved
from ska_oso_oet.mptools import EventMessage, MPQueue, ProcWorker, QueueClosed, TerminateInterrupt
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import ProcedureInput, ProcedureState
from ska_oso_oet.procedure.endings import of_exception, of_system_exit
from ska_oso_oet.procedure.loader import ModuleFactory, ScriptUnreadable
from ska_oso_oet.procedure.orders import Order, Word
from ska_oso_oet.procedure.reports import Raised, Report, Returned, StateEntered
from ska_oso_oet.procedure.script_log import send_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, ModuleType

    from pubsub.core.listener import Listener
    from pubsub.core.topicobj import Topic

    from ska_oso_oet.mptools import SignalObject
    from ska_oso_oet.procedure.domain import CallArgs

ORPHAN_GRACE_SECS: Final = 1.0

# Done once, in the fork server, for all workers.
pub.addTopicDefnProvider(topics, pub.TOPIC_TREE_FROM_CLASS)
for _name in topic_names():
    pub.getDefaultTopicMgr().getOrCreateTopic(_name)


class ScriptWorker(ProcWorker):
    """Loads user code in a child process and runs its functions on request.

    It acts on the messages of its inbox: LOAD (a script; its `init` is called as well), RUN (call `main`) and
    PUBSUB (an event of the bus, to be published here). What it publishes itself goes out as PUBSUB. Each
    state on the way to READY is reported, and so is how the script ended.

    The main thread runs the script, so that signals reach it; a second thread reads the inbox and publishes
    what comes, so that a script hears events while it runs.
    """

    takes_work_q = True
    _active: ClassVar[ScriptWorker | None] = None

    def init_args(self, work_q: MPQueue, *args: Any, **kwargs: Any) -> None:
        """Take the inbox."""
        super().init_args(*args, **kwargs)
        self.work_q = work_q
        self._orders: queue.SimpleQueue[EventMessage] = queue.SimpleQueue()
        self._from_bus = threading.local()
        self._interest = _Interest(self._tell_interest)
        self._interrupted = False
        self._sending = False
        self._ended = False

    # ------------------------------------------------------------ signals

    @staticmethod
    def term_handler(
        signal_object: SignalObject,
        exception_class: type[BaseException],
        signal_num: int,
        current_stack_frame: FrameType | None,
    ) -> None:
        """Interrupt the script where it stands, so that its `finally` blocks run."""
        del signal_num, current_stack_frame
        signal_object.terminate_called += 1
        worker = ScriptWorker._active
        if worker is None or not worker._hold_back():  # noqa: SLF001 - a static method of the class itself
            raise exception_class

    int_handler = term_handler

    def _hold_back(self) -> bool:
        """Tell whether the interrupt must wait: half a frame in the channel would garble what follows."""
        self._interrupted = True
        return self._sending or self._ended

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Do something that an interrupt would spoil; one that came meanwhile is raised afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before, self._sending = self._interrupted, True
        try:
            yield
        finally:
            self._sending = False
        if self._interrupted and not before:
            raise TerminateInterrupt

    # ------------------------------------------------------------ the template

    def startup(self) -> None:
        """Join the event bus and start to read the inbox."""
        ScriptWorker._active = self
        send_log(self._tell_log)
        pub.addNotificationHandler(self._interest)
        pub.setNotificationFlags(subscribe=True, unsubscribe=True)
        pub.subscribe(self.republish, pub.ALL_TOPICS)
        self._interest.enabled = True
        threading.Thread(target=self._read_inbox, name="oet-inbox", daemon=True).start()

    def main_loop(self) -> None:
        """Do what the controller orders, until the script has ended."""
        self.publish_lifecycle(ProcedureState.IDLE)
        try:
            module, arguments = self._load()
            self._init(module, arguments.init)
            self._main(module)
        except TerminateInterrupt:
            self._report(Raised(message="stopped", stacktrace=None, interrupted=True))
        except SystemExit as error:
            self._report(of_system_exit(error, interrupted=self._interrupted))
        except BaseException as error:  # noqa: BLE001 - the boundary between a script and the engine
            self._report(of_exception(error, interrupted=self._interrupted))

    def _load(self) -> tuple[ModuleType, CallArgs]:
        command = PrepareProcessCommand.parse(self._next_order(Order.LOAD).msg)
        self.publish_lifecycle(ProcedureState.LOADING)
        module = ModuleFactory.get_module(command.script)
        if not callable(getattr(module, "main", None)):
            raise ScriptUnreadable(f"{module.__file__} has no function main")
        self.publish_lifecycle(ProcedureState.IDLE)
        return module, command.script_args

    def _init(self, module: ModuleType, arguments: ProcedureInput) -> None:
        self.publish_lifecycle(ProcedureState.INITIALISING)
        if callable(init := getattr(module, "init", None)):
            init(*arguments.args, **arguments.kwargs)
        self.publish_lifecycle(ProcedureState.READY)

    def _main(self, module: ModuleType) -> None:
        order = self._next_order(Order.RUN)
        arguments = ProcedureInput.parse(order.msg["args"])
        getattr(module, order.msg["fn_name"])(*arguments.args, **arguments.kwargs)
        self._report(Returned(interrupted=self._interrupted))

    def _next_order(self, expected: Order) -> EventMessage:
        # The reader thread ends the process if the controller goes away, so that this needs no timeout.
        order = self._orders.get()
        if order.msg_type != expected:
            raise RuntimeError(f"{order.msg_type} was ordered where {expected} was due")
        return order

    # ------------------------------------------------------------ telling

    def publish_lifecycle(self, new_state: ProcedureState) -> None:
        """Report that a state was entered."""
        self._report(StateEntered(state=new_state))

    def _report(self, report: Report) -> None:
        if not isinstance(report, StateEntered):
            self._ended = True
        self._put(EventMessage(self.name, Word.REPORT, report.to_dict()))

    def _put(self, message: EventMessage) -> None:
        with self._whole():
            self.event_q.put(message)

    def republish(self, topic: Topic = pub.AUTO_TOPIC, **kwargs: Any) -> None:
        """Send an event that was published here to the controller.

        An event that is not JSON is named in the log and goes no further; the script goes on.
        """
        if getattr(self._from_bus, "busy", False):
            return
        name = topic.getName()
        if is_reserved(name):
            self.log.error("an event on %s was not sent: that topic is the controller's", name)
            return
        try:
            self._put(EventMessage(self.name, Word.PUBSUB, {"topic": name, "data": kwargs}))
        except (TypeError, ValueError, RecursionError) as error:
            self.log.error("an event on %s was not sent, as its data is not JSON: %s", name, error)  # noqa: TRY400

    def _tell_interest(self, wanted: list[str]) -> None:
        self._put(EventMessage(self.name, Word.INTEREST, wanted))

    def _tell_log(self, level: str, text: str) -> None:
        self._put(EventMessage(self.name, Word.LOG, {"level": level, "text": text}))

    # ------------------------------------------------------------ the inbox

    def _read_inbox(self) -> None:
        """Take messages until the controller is gone, and then end this process."""
        while True:
            try:
                message = self.work_q.get()
            except QueueClosed:
                self._end_orphaned()
                return
            if message.msg_type == Order.PUBSUB:
                self._publish_locally(message)
            else:
                self._orders.put(message)

    def _publish_locally(self, message: EventMessage) -> None:
        self._from_bus.busy = True
        try:
            pub.sendMessage(message.msg["topic"], **message.msg["data"])
        except Exception:
            # A script's listener failed, or the event does not fit the topic as the script defined it.
            self.log.exception("an event on %s could not be delivered to this script", message.msg["topic"])
        finally:
            self._from_bus.busy = False

    def _end_orphaned(self) -> None:
        """Let the script clean up, briefly, and then take the whole process group down."""
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(ORPHAN_GRACE_SECS)
        os.killpg(os.getpgrp(), signal.SIGKILL)


class _Interest(INotificationHandler):  # type: ignore[misc]
    """Knows which topics the script listens to, so that no other events need to be sent to it."""

    def __init__(self, tell: Callable[[list[str]], None]) -> None:
        self._tell = tell
        self._topics: list[str] = []
        self.enabled = False

    def notifySubscribe(self, pubListener: Listener, topicObj: Topic, newSub: bool) -> None:  # noqa: N802, N803, FBT001
        """Note a new subscription (called by pypubsub)."""
        del pubListener
        if newSub and self.enabled:
            self._change([*self._topics, _prefix(topicObj)])

    def notifyUnsubscribe(self, pubListener: Listener, topicObj: Topic) -> None:  # noqa: N802, N803
        """Note the end of one (called by pypubsub)."""
        del pubListener
        rest = list(self._topics)
        if (prefix := _prefix(topicObj)) in rest:
            rest.remove(prefix)
            self._change(rest)

    def _change(self, wanted: list[str]) -> None:
        before, self._topics = set(self._topics), wanted
        if set(wanted) != before:
            self._tell(sorted(set(wanted)))

    def notifySend(self, stage: str, topicObj: Topic, pubListener: Listener | None = None) -> None:  # noqa: N802, N803
        """Not asked for."""

    def notifyNewTopic(self, topicObj: Topic, description: str, required: Any, argsDocs: Any) -> None:  # noqa: N802, N803
        """Not asked for."""

    def notifyDelTopic(self, topicName: str) -> None:  # noqa: N802, N803
        """Not asked for."""

    def notifyDeadListener(self, pubListener: Listener, topicObj: Topic) -> None:  # noqa: N802, N803
        """Note that a listener was collected (called by pypubsub)."""
        self.notifyUnsubscribe(pubListener, topicObj)


def _prefix(topic: Topic) -> str:
    """Name a topic as the bus does: "" is all of them."""
    name: str = topic.getName()
    return "" if name == pub.ALL_TOPICS else name
