import json


def main(sb_json):
    with open(sb_json) as sb:
        print(json.load(sb)["sbd_id"])
