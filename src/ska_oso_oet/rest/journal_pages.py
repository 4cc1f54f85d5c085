"""Events that are no longer kept here are read from the controller's journal, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ska_oso_oet.client.events import Gap
from ska_oso_oet.event.journal import EventsQuery
from ska_oso_oet.rest.server_sent import encode

if TYPE_CHECKING:
    from ska_oso_oet.client.events import StreamItem
    from ska_oso_oet.client.tango_controller import TangoController
    from ska_oso_oet.rest.event_log import Missing

PAGE: Final = 100
"""Events of a page: what is in memory for a client, who is sent the next one when it has received it."""


def read_page(controller: TangoController, missing: Missing) -> tuple[bytes, int]:
    """Read a page of what is missing: what to send, and the number up to which nothing is missing then.

    What the journal does not have any more is reported by a gap. Raises OetError.
    """
    epoch, since = missing.since
    query = EventsQuery(since=since, epoch=epoch, limit=PAGE, procedure_id=missing.procedure_id)
    journal = controller.read_events(query)
    same = journal.epoch == epoch
    oldest = min(journal.first_seq, missing.until) if same else missing.until
    events = [event for event in journal.events if same and event.seq < missing.until]
    items: list[StreamItem] = [Gap(epoch, since + 1, oldest - 1)] if since + 1 < oldest else []
    items += events
    more = len(events) == PAGE
    return b"".join(encode(item).content for item in items), events[-1].seq if more else missing.until - 1
