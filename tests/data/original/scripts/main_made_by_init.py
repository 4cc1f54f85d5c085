import functools


def init(subarray_id):
    global main
    main = functools.partial(_main, subarray_id)


def _main(subarray_id, sb_json=None):
    print(f"subarray {subarray_id}: {sb_json}")
