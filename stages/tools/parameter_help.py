"""Every key of params.yaml and the profiles with its type and meaning, as Markdown: docs/parameters.md."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

WIDTH = 120
NAMES = {"string": "text", "boolean": "true or false", "null": "null"}
LOW = {"minimum": ("≥", "["), "exclusiveMinimum": (">", "(")}  # alone, and in an interval
HIGH = {"maximum": ("≤", "]"), "exclusiveMaximum": ("<", ")")}
INTRODUCTION = """# Parameters

This file is written by `python -m stages.tools.params --keys > docs/parameters.md` from `stages/<stage>/settings.py`; a
test compares the two.

`params.yaml` holds the science, `stages/profiles/<profile>.yaml` the scale; a section may be split between the two, and
a key stands in one of them. A line says key, type and range, meaning, and the default where a key may be left out.
`python -m stages.tools.params` validates every value and prints it.
"""


def markdown(model: type[BaseModel]) -> str:
    """
    List the keys of a model and of those in it: a heading per section, a line per key, wrapped where long.

    Parameters
    ----------
    model : type
        With a description for each field.
    """
    schema = model.model_json_schema()
    return "\n".join([INTRODUCTION, *_lines(schema, schema["$defs"], "")]) + "\n"


def _lines(block: dict[str, Any], blocks: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, field in block["properties"].items():
        inner = [blocks[found] for found in _references(field)]
        meaning = " ".join((field.get("description") or inner[0]["description"]).split())
        if inner and not prefix:
            yield f"\n## {name}\n\n{textwrap.fill(meaning, WIDTH)}\n"
        else:
            default = (
                f" (default: `{json.dumps(field['default'], ensure_ascii=False)}`)" if _plain_default(field) else ""
            )
            yield textwrap.fill(
                f"- `{prefix}{name}`: `{_type(field)}`; {meaning}{default}",
                WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        for part in inner:
            yield from _lines(part, blocks, f"{prefix}{name}{'[]' * (field.get('type') == 'array')}.")


def _references(field: dict[str, Any]) -> list[str]:
    """Name the blocks that a field is, holds a list of, may be, or names."""
    named = field.get("additionalProperties")
    every = [field, field.get("items", {}), named if isinstance(named, dict) else {}]
    parts = [part for one in every for part in (one, *one.get("anyOf", []))]
    return [part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part]


def _plain_default(field: dict[str, Any]) -> bool:
    return "default" in field and not isinstance(field["default"], dict)


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return "block"
    if "anyOf" in field:
        return " | ".join(dict.fromkeys(map(_type, field["anyOf"])))
    if "const" in field or "enum" in field:
        return " | ".join(str(value) for value in field.get("enum", [field.get("const")]))
    kind: str = field.get("type", "any value")
    if "prefixItems" in field:
        return f"[{', '.join(map(_type, field['prefixItems']))}]"
    if kind == "array":
        return f"list of {_type(field['items'])}"
    if kind == "object":
        of = field.get("additionalProperties")
        return f"{{name: {_type(of)}}}" if isinstance(of, dict) else "{key: value}"
    low, high = ([(*signs, field[name]) for name, signs in of.items() if name in field] for of in (LOW, HIGH))
    if low and high:
        return f"{kind} in {low[0][1]}{low[0][2]}, {high[0][2]}{high[0][1]}"
    return " ".join([NAMES.get(kind, kind), *(f"{sign} {value}" for sign, _, value in low + high)])
