"""Reads a request of OTLP with PyPI's opentelemetry-proto, and holds it against what was recorded.

read_otlp.py EXPECTED BODY: EXPECTED is JSON: {"series": {"GET /a 200": [nanoseconds, ...]}, "digits": 2, "temporality": "DELTA",
"kind": "exponential" or "explicit", "counters": {...}, "exemplars": {"GET /a 200": {"trace": "0af7...", "nanos": 7}}}; BODY is the
request.
"""

import json
import math
import sys

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

# How far a duration may be outside of the bucket that it is counted in, by digits.
OUTSIDE = {1: 0.0313, 2: 0.0040, 3: 0.0005}
# How far a bound of an explicit histogram may count beyond itself.
BEYOND = {1: 0.0625, 2: 0.0079, 3: 0.00098}


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes(point):
    return {attribute.key: value(attribute.value) for attribute in point.attributes}


def quantile(point, share):
    rank, below = max(1, math.ceil(share * point.count)), point.zero_count
    if below >= rank:
        return 0.0
    for place, count in enumerate(point.positive.bucket_counts):
        below += count
        if below >= rank:
            return 2.0 ** ((point.positive.offset + place + 1) / 2.0**point.scale)
    raise AssertionError("the buckets hold less than the count")


def check_exponential(point, seconds, digits):
    counts = point.positive.bucket_counts
    assert point.zero_count + sum(counts) == point.count == len(seconds), (point.count, len(seconds))
    # Buckets in order, durations in order: each in the bucket of its rank.
    ranked = [point.positive.offset + place for place, count in enumerate(counts) for _ in range(count)]
    for duration, index in zip(seconds[point.zero_count :], ranked):
        low, high = (2.0 ** (i / 2.0**point.scale) for i in (index, index + 1))
        assert low * (1 - OUTSIDE[digits]) <= duration <= high * (1 + OUTSIDE[digits]), (low, duration, high)
    worst = 0.0
    # A quantile is read as its bucket's upper bound. So it is off by the bucket's width, which grows with the range of the
    # durations if the number of buckets is limited, and by what is counted beside its bucket.
    limit = 2.0 ** (1 / 2.0**point.scale) * (1 + 2 * OUTSIDE[digits]) - 1
    for share in (0.5, 0.95, 0.99, 0.999):
        exact = seconds[max(1, math.ceil(share * len(seconds))) - 1]
        read = quantile(point, share)
        if exact > 0:
            worst = max(worst, abs(read - exact) / exact)
            assert abs(read - exact) <= exact * limit, (share, exact, read, limit)
    return worst


def check_explicit(point, seconds, digits):
    assert sum(point.bucket_counts) == point.count == len(seconds)
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    counted = 0
    for bound, count in zip(point.explicit_bounds, point.bucket_counts):
        counted += count
        assert counted >= sum(duration <= bound for duration in seconds), bound
        assert counted <= sum(duration <= bound * (1 + BEYOND[digits]) for duration in seconds), bound
    return 0.0


def main(expected_path, body_path):
    with open(expected_path) as file:
        expected = json.load(file)
    request = ExportMetricsServiceRequest()
    with open(body_path, "rb") as file:
        request.ParseFromString(file.read())
    (resource,) = request.resource_metrics
    assert attributes(resource.resource)["service.name"] == expected["service"]
    (scope,) = resource.scope_metrics
    metrics = {metric.name: metric for metric in scope.metrics}

    durations = metrics["http.server.request.duration"]
    assert durations.unit == "s"
    kind = "exponential_histogram" if expected["kind"] == "exponential" else "histogram"
    assert durations.WhichOneof("data") == kind
    histogram = getattr(durations, kind)
    temporality = AggregationTemporality.Name(histogram.aggregation_temporality)
    assert temporality == "AGGREGATION_TEMPORALITY_" + expected["temporality"], temporality
    check = check_exponential if expected["kind"] == "exponential" else check_explicit
    series, worst = dict(expected["series"]), 0.0
    exemplars = dict(expected["exemplars"])
    for point in histogram.data_points:
        labels = attributes(point)
        assert labels["url.scheme"] == "https"
        status = labels.get("http.response.status_code", labels.get("error.type"))
        if isinstance(status, int) and status >= 500:
            assert labels["error.type"] == str(status)
        name = f"{labels['http.request.method']} {labels.get('http.route')} {status}"
        seconds = sorted(nanos / 1e9 for nanos in series.pop(name))
        assert math.isclose(point.sum, math.fsum(seconds), rel_tol=1e-9), (point.sum, math.fsum(seconds))
        assert point.min >= seconds[0] * 0.9 - 1e-9 and point.max <= seconds[-1] * 1.1 + 1e-9
        assert 0 < point.start_time_unix_nano <= point.time_unix_nano
        worst = max(worst, check(point, seconds, expected["digits"]))
        for exemplar in point.exemplars:
            known = exemplars.pop(name)
            assert (exemplar.trace_id.hex(), exemplar.span_id) == (known["trace"], b""), exemplar
            assert exemplar.WhichOneof("value") == "as_double" and exemplar.as_double == known["nanos"] / 1e9, exemplar
            assert point.start_time_unix_nano <= exemplar.time_unix_nano <= point.time_unix_nano, exemplar
    assert not series and not exemplars, f"not sent: {list(series)}, {exemplars}"

    for name, count in expected["counters"].items():
        data = metrics[name].sum
        assert data.is_monotonic and data.data_points[0].as_int == count, metrics[name]
    # These were recorded after they had ended.
    active = metrics.get("http.server.active_requests")
    assert active is None or not active.sum.data_points
    sizes = metrics["http.server.response.body.size"].histogram
    assert sum(point.count for point in sizes.data_points) == sum(map(len, expected["series"].values()))
    print(f"{expected['kind']}, {expected['digits']} digits: quantiles off by {worst:.4%} at most")


main(*sys.argv[1:])
