#!/usr/bin/env python3
"""Draws costs.svg, the bars of the README, from what `compare` writes: `chart.py COMPARE.json`.

    cargo run --profile bench -p benches --bin compare -- all --json docs/figures/KIND-OF-MACHINE.json
    python3 docs/pictures/chart.py docs/figures/KIND-OF-MACHINE.json

Without a file it draws those of the README's tables.
"""

import json
import pathlib
import sys
from xml.sax.saxutils import escape

HERE = pathlib.Path(__file__).parent
NAMES = {
    "ours": "this monitor",
    "actix-web-prom": "actix-web-prom",
    "opentelemetry": "OpenTelemetry",
    "prometheus": "prometheus",
    "metrics-exporter-prometheus": "metrics-exporter-prometheus",
}
WIDTH, HEIGHT, COLUMN, BAR, STEP = 860, 150, 270, 150, 34


def panels(report):
    """Yields the title of each comparison, and the arms with their figures and how they are written."""
    sections = {section["kind"]: section["arms"] for section in report["sections"]}
    wanted = lambda kind, fits=lambda arm: True: [
        arm for arm in sections.get(kind, []) if arm["arm"] in NAMES and fits(arm)
    ]
    yield "Added to a request", [
        (NAMES[arm["arm"]], arm["nanos_over_bare"], f"{arm['nanos_over_bare']:,.0f} ns")
        for arm in wanted("middlewares", lambda arm: arm["shape"] == "dynamic")
    ]
    yield "Processor time of a whole server", [
        (NAMES[arm["arm"]], arm["ratio_to_bare"] - 1, f"+{(arm['ratio_to_bare'] - 1) * 100:.0f} %")
        for arm in wanted("servers under load")
    ]
    yield "A scrape of 200 routes", [
        (NAMES[arm["arm"]], arm["nanos"], f"{arm['nanos'] / 1e6:.1f} ms")
        for arm in wanted("scrapes", lambda arm: arm["scrapes"]["routes"] == 200 and arm["scrapes"]["changed"] == 1)
    ]


def draw(report):
    # Colours that can be read on GitHub's light page and on its dark one.
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<style>text { fill: #24292f } .peer { fill: #8c959f } .ours { fill: #1f883d } "
        "@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ours { fill: #3fb950 } .peer { fill: #6e7681 } }"
        "</style>",
    ]
    for column, (title, arms) in enumerate(panels(report)):
        x, most = column * (COLUMN + 25), max((figure for _, figure, _ in arms), default=1)
        lines.append(f'<text x="{x}" y="16" font-weight="600">{escape(title)}</text>')
        for row, (name, figure, written) in enumerate(arms):
            y, width = 38 + row * STEP, max(2, BAR * figure / most)
            kind = "ours" if name == "this monitor" else "peer"
            lines.append(f'<text x="{x}" y="{y}">{escape(name)}</text>')
            lines.append(f'<rect class="{kind}" x="{x}" y="{y + 4}" width="{width:.1f}" height="10" rx="2"/>')
            lines.append(f'<text x="{x + width + 6:.1f}" y="{y + 13}">{escape(written)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def main():
    source = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "figures" / "xeon-2-cores.json"
    report = json.loads(source.read_text(encoding="utf-8"))
    (HERE / "costs.svg").write_text(draw(report), encoding="utf-8")


main()
