from __future__ import annotations

import pytest

from ska_oso_oet.ska.control_model import AdminMode
from ska_oso_oet.ska.state_machines import Action, AdminModeMachine, OpStateMachine, StateModelError

A = Action
ON_PATH = (A.INIT_COMPLETED, A.COMPONENT_UNKNOWN, A.COMPONENT_ON)

OP_STATES = [
    ((), "INIT"),
    ((A.INIT_COMPLETED,), "DISABLE"),
    ((A.INIT_FAILED,), "FAULT"),
    ((A.COMPONENT_UNKNOWN, A.COMPONENT_ON), "INIT"),
    ((A.COMPONENT_UNKNOWN, A.COMPONENT_ON, A.INIT_COMPLETED), "ON"),
    ((A.INIT_COMPLETED, A.COMPONENT_UNKNOWN), "UNKNOWN"),
    ((*ON_PATH,), "ON"),
    ((*ON_PATH, A.COMPONENT_OFF), "OFF"),
    ((*ON_PATH, A.COMPONENT_STANDBY), "STANDBY"),
    ((*ON_PATH, A.COMPONENT_UNKNOWN), "UNKNOWN"),
    ((*ON_PATH, A.COMPONENT_DISCONNECTED), "DISABLE"),
    ((*ON_PATH, A.COMPONENT_FAULT), "FAULT"),
    ((*ON_PATH, A.COMPONENT_FAULT, A.COMPONENT_NO_FAULT), "ON"),
    ((*ON_PATH, A.COMPONENT_STANDBY, A.COMPONENT_FAULT, A.COMPONENT_NO_FAULT), "STANDBY"),
    ((*ON_PATH, A.COMPONENT_FAULT, A.COMPONENT_STANDBY), "FAULT"),
    ((*ON_PATH, A.COMPONENT_FAULT, A.COMPONENT_STANDBY, A.COMPONENT_NO_FAULT), "STANDBY"),
    ((*ON_PATH, A.COMPONENT_FAULT, A.COMPONENT_ON), "FAULT"),
    ((*ON_PATH, A.COMPONENT_FAULT, A.COMPONENT_OFF), "OFF"),
    ((*ON_PATH, A.COMPONENT_FAULT, A.COMPONENT_UNKNOWN), "UNKNOWN"),
    ((*ON_PATH, A.COMPONENT_FAULT, A.COMPONENT_DISCONNECTED), "DISABLE"),
    ((*ON_PATH, A.COMPONENT_NO_FAULT), "ON"),
    ((A.INIT_COMPLETED, A.COMPONENT_UNKNOWN, A.COMPONENT_FAULT), "FAULT"),
    ((A.INIT_FAILED, A.COMPONENT_ON, A.COMPONENT_NO_FAULT), "FAULT"),
    ((A.INIT_FAILED, A.INIT_INVOKED), "INIT"),
    ((*ON_PATH, A.COMPONENT_FAULT, A.INIT_INVOKED, A.INIT_COMPLETED), "DISABLE"),
]


@pytest.mark.parametrize(("actions", "expected"), OP_STATES)
def test_op_state_follows_the_table(actions: tuple[Action, ...], expected: str) -> None:
    machine = OpStateMachine()
    for action in actions:
        machine.perform(action)
    assert machine.state == expected


@pytest.mark.parametrize(
    "actions",
    [(A.COMPONENT_FAULT,), (A.INIT_COMPLETED, A.COMPONENT_FAULT), (A.INIT_COMPLETED, A.INIT_COMPLETED)],
)
def test_a_disallowed_action_changes_nothing(actions: tuple[Action, ...]) -> None:
    machine = OpStateMachine()
    for action in actions[:-1]:
        machine.perform(action)
    before = machine.state
    with pytest.raises(StateModelError):
        machine.perform(actions[-1])
    assert machine.state == before


M = AdminMode
ALLOWED = {
    M.NOT_FITTED: {M.NOT_FITTED, M.RESERVED, M.OFFLINE},
    M.RESERVED: {M.NOT_FITTED, M.RESERVED, M.OFFLINE},
    M.OFFLINE: set(M),
    M.ENGINEERING: {M.OFFLINE, M.ENGINEERING, M.ONLINE},
    M.ONLINE: {M.OFFLINE, M.ENGINEERING, M.ONLINE},
}


@pytest.mark.parametrize("start", M)
@pytest.mark.parametrize("target", M)
def test_admin_mode_follows_the_table(start: AdminMode, target: AdminMode) -> None:
    machine = AdminModeMachine()
    assert machine.mode is M.OFFLINE
    machine.change(start)
    if target in ALLOWED[start]:
        assert machine.change(target) is (start is not target)
        assert machine.mode is target
    else:
        with pytest.raises(StateModelError):
            machine.change(target)
        assert machine.mode is start


def test_the_refusal_of_a_mode_reads_as_on_every_ska_device() -> None:
    machine = AdminModeMachine()
    machine.change(M.RESERVED)
    with pytest.raises(
        StateModelError, match=r"^Action to_online is not allowed in admin mode <AdminMode.RESERVED: 4>\.$"
    ):
        machine.change(M.ONLINE)
