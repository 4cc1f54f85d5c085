import ska_oso_oet.event.topics as topics
from pubsub import pub


def main(sb_id):
    pub.sendMessage(topics.sb.lifecycle.observation.started, msg_src=__name__, sb_id=sb_id)
    pub.sendMessage(topics.scan.lifecycle.start, msg_src=__name__, sb_id=sb_id)
    pub.sendMessage("scan.lifecycle.end.succeeded", msg_src=__name__, sb_id=sb_id, scan_id=1)
    pub.sendMessage(topics.user.script.announce, msg_src=__name__, msg="done")
