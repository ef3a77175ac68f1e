"""Writes records with the archive's own Python packages, or reads them as its clients do.

    interop.py write BROKER PREFIX N         writes N origins and N visit statuses
    interop.py read BROKER PREFIX GROUP N    reads N records of a group, and commits
"""

import datetime
import sys

from swh.journal.client import get_journal_client
from swh.journal.writer.kafka import KafkaJournalWriter
from swh.model.model import Origin, OriginVisitStatus


def write(broker, prefix, n):
    writer = KafkaJournalWriter(
        brokers=[broker], prefix=prefix, client_id="interop", value_sanitizer=lambda _, obj: obj
    )
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    origins = [Origin(url=f"https://git.example.org/project/{i}") for i in range(int(n))]
    writer.write_additions("origin", origins)
    writer.write_additions(
        "origin_visit_status",
        [
            OriginVisitStatus(
                origin=origin.url,
                visit=1,
                date=start + datetime.timedelta(seconds=i, microseconds=i),
                status="full",
                snapshot=bytes([i % 256]) * 20,
                type="git",
            )
            for i, origin in enumerate(origins)
        ],
    )


def read(broker, prefix, group, n):
    client = get_journal_client(
        "kafka", brokers=[broker], prefix=prefix, group_id=group, stop_after_objects=int(n), batch_size=50
    )
    read = 0

    def worker(objects):
        nonlocal read
        read += sum(len(objs) for objs in objects.values())

    client.process(worker)
    client.close()
    print(read)


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](*sys.argv[2:])
