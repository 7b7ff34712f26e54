"""Puts the events and transactions of envelopes through the normaliser of Sentry's Relay: no error, no remark, and no field that is dropped.

usage: read_sentry.py FOLDER; prints how many there were
"""

import calendar
import json
import pathlib
import sys
import time

from sentry_relay.processing import StoreNormalizer


def items(envelope):
    """The header of an envelope, and the header and payload of each item."""
    header, _, rest = envelope.partition(b"\n")
    found = []
    while rest:
        item, _, rest = rest.partition(b"\n")
        item = json.loads(item)
        length = item["length"]
        found.append((item, rest[:length]))
        assert rest[length : length + 1] in (b"\n", b""), "an item ends with its line"
        rest = rest[length + 1 :]
    return json.loads(header), found


def check(sent, got, path):
    """That all that was sent is still there."""
    if isinstance(sent, dict):
        assert isinstance(got, dict), path
        for key, value in sent.items():
            assert key in got, f"{path}.{key} was dropped"
            check(value, got[key], f"{path}.{key}")
    elif isinstance(sent, list):
        assert isinstance(got, list) and len(sent) == len(got), path
        for place, (one, other) in enumerate(zip(sent, got)):
            check(one, other, f"{path}[{place}]")
    elif isinstance(sent, float):
        assert abs(sent - got) < 1e-5, f"{path}: {sent} became {got}"
    else:
        assert sent == got, f"{path}: {sent!r} became {got!r}"


def seconds(timestamp):
    """Since 1970, of a number or of a date such as 2026-11-23T09:09:31.179286061Z."""
    if not isinstance(timestamp, str):
        return timestamp
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")


def normalised(normalizer, payload):
    sent = json.loads(payload)
    got = normalizer.normalize_event(raw_event=payload)
    assert "_meta" not in got, f"{got['_meta']} of {sent}"
    assert not got.get("errors"), got["errors"]
    got["tags"] = dict(got["tags"])
    sent["timestamp"] = seconds(sent["timestamp"])
    # Where Relay keeps the server's name.
    got["server_name"] = got["tags"].pop("server_name")
    check(sent, got, "event")


def main(folder):
    normalizer = StoreNormalizer(
        project_id=42, protocol_version="7", client="metrics-export", enable_trimming=True, remove_other=True
    )
    count = 0
    for path in sorted(pathlib.Path(folder).glob("*.envelope")):
        header, found = items(path.read_bytes())
        for item, payload in found:
            if item["type"] in ("event", "transaction"):
                assert header["event_id"].replace("-", "") == json.loads(payload)["event_id"]
                normalised(normalizer, payload)
                count += 1
    print(count)


main(sys.argv[1])
