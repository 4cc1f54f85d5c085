from urllib.parse import urlparse

SB = None


def init(subarray_id, sb_uri):
    global SB
    SB = urlparse(sb_uri).path


def main(scan_duration=None):
    print(f"{SB} for {scan_duration} s")
