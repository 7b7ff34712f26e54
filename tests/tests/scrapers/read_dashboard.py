"""Checks a dashboard against the schema in Grafana's SDK: read_dashboard.py DASHBOARD.json.

The SDK drops unknown fields and checks no types when it reads. So this writes the dashboard again and looks for missing
fields, and compares each value with the type of its field.
"""

import enum
import json
import sys
import types
import typing

from grafana_foundation_sdk.cog import encoder, plugins
from grafana_foundation_sdk.models import dashboard as schema


def missing(ours, theirs, at):
    """Yields where the written dashboard lacks a field or has another value."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key not in theirs:
                yield f"{at}.{key}: not in the schema"
            else:
                yield from missing(value, theirs[key], f"{at}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (value, their) in enumerate(zip(ours, theirs)):
            yield from missing(value, their, f"{at}[{index}]")
    elif ours != theirs or isinstance(ours, bool) != isinstance(theirs, bool):
        yield f"{at}: {ours!r} became {theirs!r}"


def fits(value, hint):
    """Whether a value has a type. Does not look inside objects of the schema."""
    origin = typing.get_origin(hint)
    if hint in (typing.Any, object):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, choice) for choice in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if origin is list:
        return isinstance(value, list) and all(fits(item, typing.get_args(hint)[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(item, typing.get_args(hint)[1]) for item in value.values())
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in {choice.value for choice in hint} or isinstance(value, hint)
    return not isinstance(hint, type) or isinstance(value, hint)


def mistyped(value, at):
    """Yields where the value of a field does not have its type."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from mistyped(item, f"{at}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from mistyped(item, f"{at}.{key}")
    elif hasattr(value, "to_json") and not isinstance(value, enum.Enum):
        hints = typing.get_type_hints(type(value))
        for field, item in vars(value).items():
            if field in hints and not fits(item, hints[field]):
                yield f"{at}.{field}: {item!r} is not of type {hints[field]}"
            yield from mistyped(item, f"{at}.{field}")


def sources_of(value):
    """Yields the data source of each panel, target and variable."""
    if isinstance(value, dict):
        if isinstance(value.get("datasource"), dict):
            yield value["datasource"]
        value = value.values()
    if not isinstance(value, str):
        for item in value if hasattr(value, "__iter__") else []:
            yield from sources_of(item)


def panels_of(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def main():
    plugins.register_default_plugins()
    ours = json.load(open(sys.argv[1], encoding="utf-8"))
    # What an import asks for. It is no part of a dashboard that Grafana keeps.
    inputs = {f"${{{each['name']}}}" for each in ours.pop("__inputs") if each["type"] == "datasource"}
    read = schema.Dashboard.from_json(ours)
    theirs = json.loads(json.dumps(read, cls=encoder.JSONEncoder))
    wrong = [*missing(ours, theirs, "dashboard"), *mistyped(read, "dashboard")]
    ids = [panel["id"] for panel in panels_of(ours)]
    if len(set(ids)) != len(ids):
        wrong.append("two panels have the same id")
    sources = {json.dumps(source) for source in sources_of(ours)}
    if sources != {'{"type": "prometheus", "uid": "${datasource}"}'}:
        wrong.append(f"data sources that are fixed: {sources}")
    chosen = [each for each in ours["templating"]["list"] if each["type"] == "datasource"]
    if [each["name"] for each in chosen] != ["datasource"] or chosen[0]["current"]["value"] not in inputs:
        wrong.append("the data source is no variable that an import asks for")
    places = {}
    for panel in panels_of(ours):
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if places.setdefault((x, y), panel["id"]) != panel["id"] or x >= 24:
                    wrong.append(f"panel {panel['id']} overlaps another one or leaves the grid")
    assert not wrong, "\n".join(sorted(set(wrong)))
    print("panels:", len(ids))


main()
