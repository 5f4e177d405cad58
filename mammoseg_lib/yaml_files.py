"""Papers and studies are YAML files; a slip in one is an error that names file, key and the nearest word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from mammoseg_lib.checks import suggestion

Model = TypeVar("Model")


class YamlFileError(ValueError):
    """A file that is absent, no YAML, or says something that is not known; the message names file and key."""


# In C where PyYAML was built with it, several times as fast.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """PyYAML lets the second of two equal keys win; here it is an error. And 1e-3 is a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.value != "<<"]
        if twice := {key for key in keys if keys.count(key) > 1}:
            line = node.start_mark.line + 1
            raise YamlFileError(f"{', '.join(map(str, twice))} stands twice in the block at line {line}")
        return super().construct_mapping(node, deep)


# YAML 1.1 asks for a point and a sign in a number with an exponent.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(path: Path) -> dict:
    """The mapping that a YAML file holds.

    Raises:
        YamlFileError: The file cannot be read, is no YAML mapping, or gives a key twice.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise YamlFileError(f"{path.name}: cannot be read ({error})") from error
    except (YamlFileError, yaml.YAMLError) as error:
        raise YamlFileError(f"{path.name}: {error}") from error
    if not isinstance(content, dict):
        raise YamlFileError(f"{path.name}: holds no mapping of names to values")
    return content


def validated(model: type[Model], values: object, place: str) -> Model:
    """The values as a pydantic model (or dataclass).

    Args:
        model: Its class.
        values: Plain values from YAML.
        place: What is named first in an error: a file, or a file and a key.

    Raises:
        YamlFileError: A key is unknown (the nearest known one is named), absent, or its value is of another
            kind; every slip is listed.
    """
    try:
        return TypeAdapter(model).validate_python(values)
    except ValidationError as error:
        slips = dict.fromkeys(_sentence(slip, model) for slip in error.errors(include_url=False))
        raise YamlFileError("\n".join(f"{place}: {slip}" for slip in slips)) from None


def nearest(word: object, known: Iterable[object]) -> str:
    """A hint for somebody who wrote `word`: the nearest known word, or all of them."""
    known = [str(each) for each in known]
    return suggestion(str(word), known).removeprefix("; ") or f"known: {', '.join(known)}"


def _sentence(slip: dict, model: type) -> str:
    where = ".".join(str(each) for each in slip["loc"])
    kind, value = slip["type"], slip["input"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{where} is not known; {nearest(slip['loc'][-1], _keys(model, slip['loc'][:-1]))}"
    if kind in ("missing", "missing_argument"):
        return f"{where} is missing"
    if kind == "literal_error":
        return f"{where} is {value!r}, not one of {slip['ctx']['expected']}"
    message = slip["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return f"{where}: {message}" if where else message
    return f"{where} is {value!r}: {message[:1].lower()}{message[1:]}"


def _keys(model: type, location: tuple) -> list[str]:
    """The names that are known at a place of a model."""
    schema = TypeAdapter(model).json_schema()
    definitions, here = schema.get("$defs", {}), schema
    for step in location:
        here = _follow(here, definitions)
        if isinstance(step, int):
            here = here.get("items", {})
        else:
            here = here.get("properties", {}).get(step) or here.get("additionalProperties") or {}
    here = _follow(here, definitions)
    return list(here.get("properties", {}))


def _follow(schema: object, definitions: dict) -> dict:
    """The schema behind a reference, or behind a choice one of whose options is a mapping."""
    if not isinstance(schema, dict):
        return {}
    if "$ref" in schema:
        return _follow(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for option in schema.get("anyOf", []):
        found = _follow(option, definitions)
        if "properties" in found or "additionalProperties" in found:
            return found
    return schema
