"""Observing scripts talk to Tango devices with what this module offers.

Everything here can be interrupted: when a script is stopped, the exception that SIGTERM raises in it ends
each call and each wait at once, whether or not the device replies::

    executor = TangoExecutor()
    executor.execute(Command("ska_mid/tm_central/central_node", "TelescopeOn"))
    executor.wait_for(Attribute("ska_mid/tm_central/central_node", "telescopeState"), is_on, timeout=60)
"""

from ska_oso_oet.scripting.executor import TangoExecutor
from ska_oso_oet.scripting.long_running import CommandFailed, LongRunningCommand
from ska_oso_oet.scripting.proxies import TangoDeviceProxyFactory
from ska_oso_oet.scripting.requests import Attribute, Command
from ska_oso_oet.scripting.scan_ids import (
    LocalScanIdGenerator,
    RemoteScanIdGenerator,
    ScanIdGenerator,
    ScanIdUnavailable,
    scan_id_generator,
)
from ska_oso_oet.scripting.subscriptions import Callback, EventObserver, SubscriptionManager
from ska_oso_oet.scripting.watch import Watch

__all__ = [
    "Attribute",
    "Callback",
    "Command",
    "CommandFailed",
    "EventObserver",
    "LocalScanIdGenerator",
    "LongRunningCommand",
    "RemoteScanIdGenerator",
    "ScanIdGenerator",
    "ScanIdUnavailable",
    "SubscriptionManager",
    "TangoDeviceProxyFactory",
    "TangoExecutor",
    "Watch",
    "scan_id_generator",
]
