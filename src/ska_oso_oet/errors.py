"""Every failure that is expected is in one tree.

::

    OetError
    ├── InvalidArgument        the request cannot be understood
    ├── NotFound
    │   ├── ProcedureNotFound
    │   ├── ActivityNotFound
    │   └── CommandForgotten
    ├── Rejected               the request is understood, but cannot be done now
    │   ├── NotReady
    │   ├── SubarrayBusy
    │   ├── SubarrayNotAllowed
    │   ├── ScriptNotAllowed
    │   └── RequestTooLarge
    ├── ControllerUnreachable
    ├── HistoryUnavailable
    └── WaitTimeout

`code` is stable: it is the `reason` of a DevFailed, the `type` of an HTTP error and what scripts
compare with. An error is translated once per boundary; a bug keeps its own type and stack trace.
"""

from __future__ import annotations

from typing import ClassVar


class OetError(Exception):
    """Base of every expected failure; `str(error)` is a sentence for the user."""

    code: ClassVar[str] = "OET_Error"


class InvalidArgument(OetError):
    """Malformed JSON, an unknown key, a value of the wrong type or a value out of range."""

    code = "OET_InvalidArgument"


class NotFound(OetError):
    """What the request names does not exist."""

    code = "OET_NotFound"


class ProcedureNotFound(NotFound):
    """No procedure has this id, or it is no longer in the list that is asked."""


class ActivityNotFound(NotFound):
    """No activity has this id, or it is no longer in the list that is asked."""


class CommandForgotten(NotFound):
    """The controller was restarted, and knows nothing of the commands of the run before."""


class Rejected(OetError):
    """The request is well formed and cannot be done now; nothing has changed."""

    code = "OET_Rejected"


class NotReady(Rejected):
    """The procedure is not in a state that allows the request."""


class SubarrayBusy(Rejected):
    """Another procedure holds the subarray; the message names it."""


class SubarrayNotAllowed(Rejected):
    """This controller may not command the subarray; the message names those that it may."""


class ScriptNotAllowed(Rejected):
    """The script is outside the allowed directories, repositories or kinds."""


class RequestTooLarge(Rejected):
    """The request has more bytes than are allowed."""


class ControllerUnreachable(OetError):
    """OETController does not reply."""

    code = "OET_ControllerUnreachable"


class HistoryUnavailable(OetError):
    """The database of the history cannot be used now; the message is the reason. Scripts are not affected."""

    code = "OET_HistoryUnavailable"


class WaitTimeout(OetError):
    """What was waited for did not happen in time; it may still happen."""

    code = "OET_Timeout"
