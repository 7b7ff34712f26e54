#!/usr/bin/env bash
# Writes the files of this folder for your own service: `./render.sh NAME [TARGET] [OPTIONS]`.
#
#   NAME      the name of the service, which becomes its job in Prometheus
#   TARGET    where Prometheus scrapes it; default: host.docker.internal:8080, a service on this machine
#   --to      the folder to write to; default: a new one named after the service, in the current folder
#   --objectives
#             rules of the service's objectives, as `Metrics::objective_rules` writes them; default: none
#   --classic no functions of native histograms, for VictoriaMetrics and other stores that do not know them
#
# The folder gets prometheus.yml, rules.yml, alertmanager.yml, grafana/ and a docker-compose.yml without the demo:
#
#   deploy/render.sh orders host.docker.internal:8080 && docker compose -f orders/docker-compose.yml up
set -euo pipefail
from=$(cd "$(dirname "$0")" && pwd)

usage() {
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
name='' target='' to='' objectives='' histograms=both
while [ $# -gt 0 ]; do
    case $1 in
    --to)
        [ $# -gt 1 ] || usage
        to=$2
        shift
        ;;
    --objectives)
        [ $# -gt 1 ] || usage
        objectives=$2
        shift
        ;;
    --classic) histograms=classic ;;
    -*) usage ;;
    *) if [ -z "$name" ]; then name=$1; elif [ -z "$target" ]; then target=$1; else usage; fi ;;
    esac
    shift
done
[ -n "$name" ] || usage
target=${target:-host.docker.internal:8080}
to=${to:-$name}
# Both are written into YAML, JSON and regular expressions.
if [[ ! $name =~ ^[A-Za-z0-9][A-Za-z0-9_-]*$ ]]; then
    echo "render.sh: the name $name may only contain letters, digits, - and _" >&2
    exit 2
fi
if [[ ! $target =~ ^[A-Za-z0-9._-]+:[0-9]+$ ]]; then
    echo "render.sh: the target $target is not host:port" >&2
    exit 2
fi
if [ -n "$objectives" ] && [ ! -r "$objectives" ]; then
    echo "render.sh: cannot read $objectives" >&2
    exit 2
fi
if [ -e "$to" ]; then
    echo "render.sh: $to exists; remove it, or choose another folder with --to" >&2
    exit 1
fi

mkdir -p "$to"
cp -R "$from/grafana" "$from/alertmanager.yml" "$to"
sed "s/job=~\"\.+\"/job=\"$name\"/g" "$from/rules.yml" >"$to/rules.yml"
sed -e "s/job_name: shop/job_name: $name/" -e "s/service:8000/$target/" -e '/# The demo in/d' \
    "$from/prometheus.yml" >"$to/prometheus.yml"
# Without the demo and its volumes.
sed -e '/^  service:/,/^$/d' -e '/^  target:$/d' -e '/^  crates:$/d' -e 's/^# The demo service with /# /' \
    "$from/docker-compose.yml" >"$to/docker-compose.yml"
if [ -n "$objectives" ]; then
    cp "$objectives" "$to/objectives.yml"
    awk '{ print } /- .\/rules.yml:/ { gsub("rules", "objectives"); print }' "$to/docker-compose.yml" >"$to/compose.new"
    mv "$to/compose.new" "$to/docker-compose.yml"
fi
dashboard=$to/grafana/dashboards/http.json
sed -e "s/\"uid\": \"metrics-http\"/\"uid\": \"metrics-$name\"/" -e "s/\"title\": \"HTTP services\"/\"title\": \"$name\"/" \
    -e "s/metrics_core_endpoints, job)/metrics_core_endpoints{job=\\\\\"$name\\\\\"}, job)/" \
    "$dashboard" >"$dashboard.new"
mv "$dashboard.new" "$dashboard"
if [ "$histograms" = classic ]; then
    sed '/# Native histograms\./,/# Classic histograms\./d' "$to/rules.yml" >"$to/rules.new"
    mv "$to/rules.new" "$to/rules.yml"
    sed 's/histogram_sum([^)]*)\{3\} or //' "$dashboard" >"$dashboard.new"
    mv "$dashboard.new" "$dashboard"
fi
echo "wrote $to; start it with: docker compose -f $to/docker-compose.yml up"
