"""This script tries a system: it greets, and does a few scans with the Tango database that all systems have.

Each scan commands the database to write down its number and to read it back, and announces what it does
on the event bus::

    oet procedure run file:///path/to/hello_world.py SKA --scans=2 --listen
"""

from __future__ import annotations

import time

from pubsub import pub

from ska_oso_oet.tango import Command, TangoExecutor

DATABASE = "sys/database/2"
NOTES = "oet-hello-world"  # a free property of the database: nothing reads it but this script
SOURCE = "hello_world"

telescope = TangoExecutor()


def init(subarray_id: int) -> None:
    """Look whether the device that is to be commanded is there."""
    state = telescope.execute(Command(DATABASE, "State"))
    print(f"subarray {subarray_id}: {DATABASE} is {state}")


def main(name: str = "world", scans: int = 3, scan_duration: float = 0.2) -> None:
    """Take `scans` scans of `scan_duration` seconds for `name`."""
    pub.sendMessage("user.script.announce", msg_src=SOURCE, msg=f"Hello, {name}!")
    for number in range(1, scans + 1):
        scan = {"msg_src": SOURCE, "sb_id": "hello-world", "scan_id": number}
        pub.sendMessage("scan.lifecycle.start", **scan)
        telescope.execute(Command(DATABASE, "DbPutProperty", NOTES, "1", "scan", "1", str(number)))
        time.sleep(scan_duration)
        *_, noted = telescope.execute(Command(DATABASE, "DbGetProperty", NOTES, "scan"))
        print(f"scan {number} of {scans}: the database has noted {noted}")
        pub.sendMessage("scan.lifecycle.end.succeeded", **scan)
        pub.sendMessage("procedure.progress", msg_src=SOURCE, progress=100 * number // scans)
