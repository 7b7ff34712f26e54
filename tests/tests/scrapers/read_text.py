"""Reads both text formats with the parsers of prometheus-client: read_text.py ROUTES.json TEXT OPENMETRICS."""

import json
import sys

from prometheus_client.openmetrics import parser as open_metrics
from prometheus_client import parser as text


def check(families, routes, counter):
    seen = {}
    for family in families:
        samples = list(family.samples)
        if family.name == "http_requests":
            assert family.type == "counter", family.type
            totals = [s for s in samples if s.name == "http_requests_total"]
            assert len(totals) == len(routes), f"{len(totals)} series for {len(routes)} routes"
            for sample in totals:
                assert set(sample.labels) == {"method", "route", "status"}, sample.labels
                seen[sample.labels["route"]] = sample.value
        elif family.name == "http_request_duration_seconds":
            assert family.type == "histogram", family.type
            counts = [s for s in samples if s.name.endswith("_count")]
            assert {s.labels["route"] for s in counts} == set(routes)
            assert len(counts) == len(routes)
            infinite = {s.labels["route"]: s.value for s in samples if s.labels.get("le") == "+Inf"}
            assert all(infinite[s.labels["route"]] == s.value for s in counts)
    assert seen == routes, "labels came back as others"
    counter.append(len(seen))


def main():
    routes = json.load(open(sys.argv[1], encoding="utf-8"))
    counter = []
    for parse, path in [(text, sys.argv[2]), (open_metrics, sys.argv[3])]:
        with open(path, encoding="utf-8", newline="\n") as file:
            check(parse.text_fd_to_metric_families(file), routes, counter)
    print("read back:", *counter)


main()
