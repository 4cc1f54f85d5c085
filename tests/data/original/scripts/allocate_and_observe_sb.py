from ska_oso_oet.scripting.scheduling_block import SchedulingBlock


def init(subarray_id=1):
    print(f"subarray {subarray_id}")


def main(sb_json, sbi_id=None):
    block = SchedulingBlock.from_file(sb_json)
    for scan in block.scans():
        print(scan.scan_definition_id, scan.duration)
