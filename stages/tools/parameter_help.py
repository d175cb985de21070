"""Every key of params.yaml and the profiles, with type and meaning, as `python -m stages.tools.params --keys`."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

WIDTH = 120
NAMES = {"string": "text", "boolean": "true or false", "null": "null"}
LOW = {"minimum": ("≥", "["), "exclusiveMinimum": (">", "(")}  # alone, and in an interval
HIGH = {"maximum": ("≤", "]"), "exclusiveMaximum": ("<", ")")}


def listing(model: type[BaseModel]) -> str:
    """
    List the keys of a model and of those in it.

    Parameters
    ----------
    model : type
        With a description for each field.

    Returns
    -------
    str
        One line a key (longer ones are wrapped): dotted key, type, meaning, default; blocks have a blank line before
        them.
    """
    schema = model.model_json_schema()
    wrap = textwrap.TextWrapper(WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrap.fill(line) for line in _lines(schema, schema["$defs"], ""))


def _lines(block: dict[str, Any], blocks: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, field in block["properties"].items():
        inner = [blocks[found] for found in _references(field)]
        meaning = field.get("description") or inner[0]["description"]
        default = f" (default: {json.dumps(field['default'], ensure_ascii=False)})" if _plain_default(field) else ""
        if inner and not prefix:
            yield ""
        yield f"{prefix}{name}: {_type(field)}; {' '.join(meaning.split())}{default}"
        for part in inner:
            yield from _lines(part, blocks, f"{prefix}{name}{'[]' * (field.get('type') == 'array')}.")


def _references(field: dict[str, Any]) -> list[str]:
    """Name the blocks that a field is, holds a list of, or may be."""
    parts = [field, field.get("items", {}), *field.get("anyOf", [])]
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
