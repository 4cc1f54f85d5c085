import os

from ska_oso_oet.features import Features
from ska_oso_oet.tango import Attribute, LocalScanIdGenerator, RemoteScanIdGenerator, TangoExecutor

EXECUTOR = TangoExecutor()
FEATURES = Features.create_from_config_files()
if os.environ.get("SKUID_URL"):
    SCAN_IDS = RemoteScanIdGenerator(os.environ["SKUID_URL"])
else:
    SCAN_IDS = LocalScanIdGenerator()


def main(device):
    attribute = Attribute(device, "procedures")
    subscription = EXECUTOR.subscribe_event(attribute)
    event = EXECUTOR.read_event(attribute)
    EXECUTOR.unsubscribe_event(attribute, subscription)
    print("event", event.attr_value.value == EXECUTOR.read(attribute) or event.attr_value.name)
    first = SCAN_IDS.next()
    print("scan ids", SCAN_IDS.next() - first, SCAN_IDS.value - first)
