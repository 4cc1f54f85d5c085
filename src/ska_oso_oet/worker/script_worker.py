"""ScriptWorker loads a script in a process of its own and calls its functions when it is ordered to."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ska_oso_oet.mptools import (
    EventMessage,
    MPQueue,
    ProcWorker,
    ProgramEnd,
    SignalObject,
    install_handlers,
    name_process,
    offer_to_oom_killer,
)
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.procedure.reports import (
    Ending,
    Overdue,
    Raised,
    Report,
    Resolved,
    Returned,
    StateEntered,
    SubarrayGiven,
)
from ska_oso_oet.source.loader import PROGRAM_NAMES, ModuleFactory
from ska_oso_oet.source.script import GitScript
from ska_oso_oet.source.script_file import ScriptUnreadable
from ska_oso_oet.worker.endings import of_exception, of_system_exit
from ska_oso_oet.worker.functions import INIT, ScriptFunctions
from ska_oso_oet.worker.inbox import OrderInbox
from ska_oso_oet.worker.interrupt import Interrupt
from ska_oso_oet.worker.limits import ScriptLimits
from ska_oso_oet.worker.orders import SCRIPT_OOM_SCORE, SPARE_NAME, SPARE_OOM_SCORE, Order, RunOrder, Word
from ska_oso_oet.worker.preparation import GitSource, LoadOrder, ResumeOrder, become
from ska_oso_oet.worker.script_bus import ScriptBus
from ska_oso_oet.worker.script_log import ScriptLog

if TYPE_CHECKING:
    from types import ModuleType

    from ska_oso_oet.procedure.reports import WorkerState


class ScriptWorker(ProcWorker):
    """Loads user code in a child process and runs its functions on request.

    It acts on the messages of its inbox: LOAD (a script; its `init` is called as well), RUN (call `main`) and
    PUBSUB (an event of the bus, to be published here). What it publishes itself goes out as PUBSUB. Each
    state on the way to READY is reported, and so is how the script ended.

    The main thread runs the script, so that signals reach it; a second thread reads the inbox and publishes
    what comes, so that a script hears events while it runs.
    """

    takes_work_q = True

    def init_args(
        self, work_q: MPQueue, *args: Any, resume: ResumeOrder | None = None, **kwargs: Any
    ) -> None:
        """Receive the inbox, and what to go on with after an exec."""
        super().init_args(*args, **kwargs)
        self.work_q = work_q
        self._resume = resume
        self._bus = ScriptBus(self._report_event, self._report_interest)
        self._script_log = ScriptLog(self._report_log)
        self._end = ProgramEnd()
        self._limits, self._grace = ScriptLimits(), 0.0
        self._interrupt = Interrupt(self._hurry)
        self._inbox = OrderInbox(work_q, self._interrupt.handlers, self._bus, self._script_log)
        self._pid = os.getpid()

    def init_signals(self) -> SignalObject:
        """Have SIGTERM interrupt the script."""
        install_handlers(self._interrupt.handlers)
        return SignalObject(self.shutdown_event)

    def _hurry(self) -> None:
        # The other half is for what comes after the threads, before the process is killed.
        self._end.limit(self._grace / 2)

    # ------------------------------------------------------------ the template

    def startup(self) -> None:
        """Join the event bus."""
        offer_to_oom_killer(SPARE_OOM_SCORE)
        self._script_log.install()
        self._bus.join()

    def run(self) -> int:
        """Run the template, and then end as a program ends: see ProgramEnd."""
        code = super().run()
        self._end.limit(self._limits.exit_timeout)
        self._end.run(PROGRAM_NAMES, alone=self._inbox.is_alone)
        self._script_log.relay()
        if not self._end.overdue:
            return code
        message = f"the script had ended, but not in time: {', '.join(self._end.overdue)}"
        sys.stderr.write(message + "\n")
        self._report(Overdue(message=message))
        return code or 1

    def main_loop(self) -> None:
        """Do what the controller orders, until the script has ended."""
        try:
            order = self._first_order()
            with self._load(order) as functions:
                self._init(functions, order)
                self._main(functions)
            self._report_end(Returned(interrupted=self._interrupt.came))
        except KeyboardInterrupt:
            self._report_end(Raised(message="stopped", stacktrace=None, interrupted=True))
        except SystemExit as error:
            self._report_end(of_system_exit(error, interrupted=self._interrupt.came))
        except BaseException as error:  # noqa: BLE001 - the boundary between a script and the engine
            self._report_end(of_exception(error, interrupted=self._interrupt.came))

    def _first_order(self) -> LoadOrder:
        """Wait for the order to load, which comes first, and begin to read what follows.

        A script that has an environment of its own gets it here: this process becomes another program, and
        comes by again with the order to resume.
        """
        if self._resume is not None:
            order = self._resume.load
        else:
            name_process(SPARE_NAME)
            message = self.work_q.get()
            name_process(f"oet-proc-{message.msg_src}")
            order = LoadOrder.parse(message.msg)
            self.publish_lifecycle(ProcedureState.IDLE)
            offer_to_oom_killer(SCRIPT_OOM_SCORE)
            order.limits.impose()
            if isinstance(order.command.script, GitScript) and order.command.script.create_env:
                self._enter_environment(order, order.command.script)
        self._limits, self._grace = order.limits, order.grace
        self._end.last_secs = order.grace / 4
        self._inbox.start()
        return order

    def _enter_environment(self, order: LoadOrder, script: GitScript) -> None:
        self.publish_lifecycle(ProcedureState.PREP_ENV)
        source = _source_of(script, order)
        clone, commit = source.fetch(self._report_commit)
        environment = source.environment(clone, commit)
        self.publish_lifecycle(ProcedureState.IDLE)
        channel = self.event_q.detach_writer()
        become(ResumeOrder(name=self.name, channel=channel, load=order, environment=environment))

    def _load(self, order: LoadOrder) -> ScriptFunctions:
        self.publish_lifecycle(ProcedureState.LOADING)
        script = order.command.script
        module = (
            self._load_from_git(order, script)
            if isinstance(script, GitScript)
            else ModuleFactory.get_module(script, order.allowed.script_roots)
        )
        functions = ScriptFunctions(module)
        functions.check()
        self.publish_lifecycle(ProcedureState.IDLE)
        return functions

    def _load_from_git(self, order: LoadOrder, script: GitScript) -> ModuleType:
        self._source = _source_of(script, order)
        if self._resume is None:
            self._source.fetch(self._report_commit)
        else:
            self._source.hold(self._resume.environment)
        return self._source.load()

    def _init(self, functions: ScriptFunctions, order: LoadOrder) -> None:
        given = order.command.script_args
        init = functions.find(INIT)
        if init is not None and (subarray_id := order.subarray_for(init)) is not None:
            # Told before it is used: from here on it is among the arguments.
            self._report(SubarrayGiven(subarray_id=subarray_id))
            given = given.for_subarray(subarray_id)
        self.publish_lifecycle(ProcedureState.INITIALISING)
        functions.init(given.init)
        self.publish_lifecycle(ProcedureState.READY)

    def _main(self, functions: ScriptFunctions) -> None:
        order = RunOrder.parse(self._inbox.next_order(Order.RUN).msg)
        functions.call(order.fn_name, order.args, order.offered)

    # ------------------------------------------------------------ reporting

    def publish_lifecycle(self, new_state: WorkerState) -> None:
        """Report that a state was entered."""
        self._report(StateEntered(state=new_state))

    def _report_commit(self, commit: str) -> None:
        self._report(Resolved(commit=commit))

    def _report_end(self, ending: Ending) -> None:
        self._interrupt.over()
        self.exit_code = ending.exit_code
        self._report(ending)

    def _report(self, report: Report) -> None:
        self._put(EventMessage(self.name, Word.REPORT, report.to_dict()))

    def _put(self, message: EventMessage) -> None:
        if os.getpid() != self._pid:
            return  # two processes that write into one channel would garble each other's messages
        with self._interrupt.held():
            self.event_q.put(message)

    def _report_event(self, topic: str, data: dict[str, Any]) -> None:
        if os.getpid() != self._pid:
            sys.stderr.write(f"an event on {topic} was not sent: this process was forked by the script\n")
        self._put(EventMessage(self.name, Word.PUBSUB, {"topic": topic, "data": data}))

    def _report_interest(self, wanted: list[str]) -> None:
        self._put(EventMessage(self.name, Word.INTEREST, wanted))

    def _report_log(self, level: str, text: str) -> None:
        self._put(EventMessage(self.name, Word.LOG, {"level": level, "text": text}))


def _source_of(script: GitScript, order: LoadOrder) -> GitSource:
    if order.places is None:
        raise ScriptUnreadable("scripts from git are not configured here")
    return GitSource(script, order.places)
