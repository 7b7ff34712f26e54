"""Parses protobuf with the official schema: read_protobuf.py ROUTES.json METRICS.proto EXPOSITION."""

import importlib
import json
import os
import shutil
import sys
import tempfile

import grpc_tools
from google.protobuf.internal.decoder import _DecodeVarint32
from grpc_tools import protoc


def schema(proto):
    directory = tempfile.mkdtemp()
    try:
        shutil.copy(proto, os.path.join(directory, "metrics.proto"))
        well_known = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
        arguments = ["protoc", f"-I{directory}", f"-I{well_known}", f"--python_out={directory}", "metrics.proto"]
        assert protoc.main(arguments) == 0
        sys.path.insert(0, directory)
        return importlib.import_module("metrics_pb2")
    finally:
        shutil.rmtree(directory)


def delimited(data, message):
    at = 0
    while at < len(data):
        length, at = _DecodeVarint32(data, at)
        yield message.FromString(data[at : at + length])
        at += length


def native_counts(histogram):
    counts, count, deltas = [], 0, iter(histogram.positive_delta)
    for span in histogram.positive_span:
        for _ in range(span.length):
            count += next(deltas)
            counts.append(count)
    assert next(deltas, None) is None
    return counts


def labels(metric):
    pairs = [(pair.name, pair.value) for pair in metric.label]
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def main():
    routes = json.load(open(sys.argv[1], encoding="utf-8"))
    pb2 = schema(sys.argv[2])
    families = {f.name: f for f in delimited(open(sys.argv[3], "rb").read(), pb2.MetricFamily)}
    requests = families["http_requests_total"]
    assert requests.type == pb2.COUNTER
    assert len(requests.metric) == len(routes)
    assert {labels(m)["route"]: m.counter.value for m in requests.metric} == routes
    durations = families["http_request_duration_seconds"]
    assert durations.type == pb2.HISTOGRAM
    assert families["jobs_total"].metric[0].counter.value == 3
    assert families["depth"].metric[0].gauge.value == -1.5e-7
    lookups = {labels(m)["result"]: m.counter.value for m in families["cache_lookups_total"].metric}
    assert lookups == {"hit": 1, "miss": 0}, lookups
    timer = families["db_duration_seconds"].metric[0].histogram
    assert (timer.sample_count, timer.sample_sum, sum(native_counts(timer)), timer.schema) == (1, 0.02, 1, 6)
    exemplars = [b.exemplar for m in durations.metric for b in m.histogram.bucket if b.HasField("exemplar")]
    assert [(labels(e), e.value) for e in exemplars] == [({"trace_id": f"{7:032x}"}, 0.5)], exemplars
    for metric in durations.metric:
        histogram = metric.histogram
        assert histogram.sample_count == routes[labels(metric)["route"]]
        assert histogram.bucket[-1].cumulative_count == histogram.sample_count
        assert histogram.bucket[-1].upper_bound == float("inf")
        counts = native_counts(histogram)
        assert min(counts, default=0) >= 0
        assert sum(counts) + histogram.zero_count == histogram.sample_count
        assert histogram.schema == 6
    assert families["http_requests_in_flight"].metric[0].gauge.value == 0
    print("read back:", len(requests.metric))


main()
