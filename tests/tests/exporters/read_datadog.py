"""Reads what ddapm-test-agent was sent, with PyPI's msgpack and ddsketch, and holds it against what was recorded.

read_datadog.py EXPECTED REQUESTS: EXPECTED is JSON: {"service": ..., "env": ..., "version": ..., "traces": 3, "error": 0.012,
"series": {"GET /a 200": {"calls": 5, "sum": 7, "quantiles": [p50, p95, p99]}}, "slow": 3, "sample_rate": 1, "upper": "0af7..."},
in nanoseconds; REQUESTS is what the agent answers to /test/session/requests. A request of a trace T comes from the span T + 1:
GET /items/{id} with a whole id, and GET /slow with its lower half.
"""

import base64
import collections
import json
import math
import sys

import msgpack
from ddsketch.pb.ddsketch_pb2 import DDSketch as Proto
from ddsketch.pb.proto import DDSketchProto

QUANTILES = [0.5, 0.95, 0.99]
INTERVAL = 10_000_000_000


def sketch(encoded):
    proto = Proto()
    proto.ParseFromString(encoded)
    # Datadog's mapping, which its backend has, too.
    assert proto.mapping.gamma == 1 + 1 / 64 and proto.mapping.indexOffset == 1338.5, proto.mapping
    read = DDSketchProto.from_proto(proto)
    read._count = read._zero_count + read._store.count
    return read, proto.mapping.gamma


def quantile(read, gamma, share, count):
    rank = max(1, math.ceil(share * count))
    value = read.get_quantile_value(min(1.0, (rank - 0.75) / max(1, count - 1)))
    # Bin i is [gamma^i, gamma^(i+1)) for the Agent and for libdatadog, sketches-go and sketches-java, but (gamma^(i-1), gamma^i]
    # for this package.
    return value * gamma


expected, requests = (json.load(open(path)) for path in sys.argv[1:])
series, sequences, traces, reasons = {}, [], [], collections.Counter()
for request in requests:
    headers = {name.lower(): value for name, value in request["headers"].items()}
    assert headers["content-type"] == "application/msgpack", headers
    assert headers["datadog-meta-lang"] == "rust" and headers["datadog-meta-tracer-version"], headers
    assert headers["datadog-client-computed-stats"] and headers["datadog-client-computed-top-level"], headers
    body = msgpack.unpackb(base64.b64decode(request["body"]))
    if request["url"].endswith("/v0.4/traces"):
        assert int(headers["x-datadog-trace-count"]) == len(body)
        traces += body
        continue
    assert request["url"].endswith("/v0.6/stats"), request["url"]
    for key in ["service", "env", "version"]:
        assert body[key.capitalize()] == expected[key], body[key.capitalize()]
    sequences.append(body["Sequence"])
    for bucket in body["Stats"]:
        assert bucket["Start"] % INTERVAL == 0 and bucket["Duration"] == INTERVAL, bucket
        for group in bucket["Stats"]:
            assert (group["Type"], group["SpanKind"], group["Synthetics"]) == ("web", "server", False), group
            assert group["TopLevelHits"] == group["Hits"], group
            (ok, gamma), (error, _) = sketch(group["OkSummary"]), sketch(group["ErrorSummary"])
            assert (ok.count, error.count) == (group["Hits"] - group["Errors"], group["Errors"]), group
            ok.merge(error)
            name = f"{group['Resource']} {group['HTTPStatusCode']}"
            known = series.setdefault(name, {"hits": 0, "errors": 0, "sum": 0, "sketch": None})
            known["hits"] += group["Hits"]
            known["errors"] += group["Errors"]
            known["sum"] += group["Duration"]
            if known["sketch"]:
                known["sketch"].merge(ok)
            else:
                known["sketch"] = ok

assert len(set(sequences)) == len(sequences) > 0, sequences
assert set(series) == set(expected["series"]), (set(series), set(expected["series"]))
worst = 0
for name, ours in expected["series"].items():
    theirs = series[name]
    assert (theirs["hits"], theirs["sum"]) == (ours["calls"], ours["sum"]), (name, theirs, ours)
    # Those without a response are panics here.
    failed = int(name.rsplit(" ", 1)[1]) in (0, *range(500, 600))
    assert theirs["errors"] == (ours["calls"] if failed else 0), (name, theirs)
    for share, value in zip(QUANTILES, ours["quantiles"]):
        read = quantile(theirs["sketch"], gamma, share, ours["calls"])
        off = abs(read - value) / value
        worst = max(worst, off)
        assert off <= expected["error"], f"{name}: p{100 * share:g} is {read}, and ours {value}"

assert len(traces) == expected["traces"], len(traces)
for trace in traces:
    assert len(trace) == 1, trace
    span = trace[0]
    meta = span["meta"]
    status = int(meta.get("http.status_code", 0))
    failed = status in (0, *range(500, 600))
    assert (span["service"], span["type"], span["error"]) == (expected["service"], "web", failed), span
    metrics = {"_dd.top_level": 1, "_sampling_priority_v1": 2}
    by_lot = not failed and span["duration"] < expected["slow"]
    if by_lot:
        metrics["_dd.rule_psr"] = expected["sample_rate"]
    assert (span["metrics"], meta["_dd.p.dm"]) == (metrics, "-3" if by_lot else "-4"), span
    assert (meta["env"], meta["version"]) == (expected["env"], expected["version"]), span
    assert f"{span['resource']} {status}" in series, span
    whole, half = (span["resource"] == name and not failed for name in ["GET /items/{id}", "GET /slow"])
    assert meta.get("_dd.p.tid") == (expected["upper"] if whole else None), span
    assert span["parent_id"] == (span["trace_id"] + 1 if whole or half else 0), span
    reasons["failed" if failed else "lot" if by_lot else "slow"] += 1
assert len({trace[0]["trace_id"] for trace in traces}) == len(traces)
hits = sum(known["hits"] for known in series.values())
print(f"{hits} hits in {len(series)} series, {len(traces)} traces: {dict(reasons)}; the worst quantile is off by {100 * worst:.2f} %")
