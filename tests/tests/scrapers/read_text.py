"""Parses both text formats with prometheus-client: read_text.py ROUTES.json TEXT OPENMETRICS."""

import json
import sys

from prometheus_client.openmetrics import parser as open_metrics
from prometheus_client import parser as text


OWN = {
    "jobs": {("jobs_total",): 3},
    "depth": {("depth",): -1.5e-7},
    "cache_lookups": {("cache_lookups_total", "hit"): 1, ("cache_lookups_total", "miss"): 0},
    "db_duration_seconds": {("db_duration_seconds_count",): 1, ("db_duration_seconds_sum",): 0.02},
}
SHOWN = {sample for samples in OWN.values() for sample, *_ in samples}


def check(families, routes, expected_exemplars, counter):
    seen, own, exemplars = {}, {}, []
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
        elif family.name in OWN:
            own[family.name] = {(s.name, *s.labels.values()): s.value for s in samples if s.name in SHOWN}
        exemplars += [s.exemplar for s in samples if s.exemplar]
    assert seen == routes, "labels changed"
    assert own == OWN, own
    traces = [(e.labels, e.value) for e in exemplars]
    assert traces == [({"trace_id": f"{7:032x}"}, 0.5)][: len(traces)] and len(traces) == expected_exemplars, traces
    counter.append(len(seen))


def main():
    routes = json.load(open(sys.argv[1], encoding="utf-8"))
    counter = []
    for parse, path, exemplars in [(text, sys.argv[2], 0), (open_metrics, sys.argv[3], 1)]:
        with open(path, encoding="utf-8", newline="\n") as file:
            check(parse.text_fd_to_metric_families(file), routes, exemplars, counter)
    print("read back:", *counter)


main()
