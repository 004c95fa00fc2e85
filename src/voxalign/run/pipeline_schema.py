"""What there is to build pipelines of, for people and for editors."""
from __future__ import annotations

import inspect
import typing
from typing import Any

from ..register.similarity import name_pattern, pattern
from .operations import STEPS
from .pipeline import KINDS, NAME, Pipeline, pipeline, ready
from .process import kinds_of
from .stage import kind_of, makes, needs, settings


def catalogue() -> dict[str, Any]:
    """The ready pipelines with what they are for and need, and all operations with their keys."""
    return {"pipelines": {name: _about(pipeline(name)) for name in ready()}, "operations": {name: _operation(name) for name in STEPS}}


def _about(known: Pipeline) -> dict[str, Any]:
    return {"about": known.about, "inputs": dict(known.inputs), "optional": dict(known.optional)}


def _operation(name: str) -> dict[str, str]:
    return {"needs": " ".join(map(_shown, needs(name).values())), "settings": " ".join(map(_shown_setting, settings(name).values())),
            "makes": makes(name), "does": (inspect.getdoc(STEPS[name]) or "").partition("\n")[0]}


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a pipeline file, for editors."""
    inputs = {"type": "object", "additionalProperties": {"enum": list(KINDS)}, "propertyNames": {"pattern": f"^{NAME.pattern}$"}}
    steps = {"type": "object", "minProperties": 1, "propertyNames": {"pattern": f"^{NAME.pattern}$"},
             "additionalProperties": {"type": "object", "required": ["do"], "properties": {"do": {"enum": list(STEPS)}},
                                      "allOf": [_rule(name) for name in STEPS]}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "voxalign pipeline", "type": "object",
            "additionalProperties": False, "required": ["steps"],
            "properties": {"about": {"type": "string"}, "inputs": inputs, "optional": inputs, "steps": steps,
                           "results": {"type": "array", "items": {"type": "string"}}}}


def _rule(name: str) -> dict[str, Any]:
    """What the schema says about the steps that do this."""
    known, values = settings(name), needs(name)
    properties = {"do": {}} | {key: {"type": "string"} for key in values} | {key: _type(each.annotation) for key, each in known.items()}
    properties |= {key: special for key, special in (("loss", _LOSS), ("iterations", _BY_LEVEL), ("window", _BY_LEVEL)) if key in known}
    required = [key for key, setting in known.items() if setting.default is setting.empty]
    return {"if": {"properties": {"do": {"const": name}}},
            "then": {"properties": properties, "required": required, "additionalProperties": False}}


_LOSS = {"oneOf": [{"type": "string", "pattern": pattern()},
                   {"type": "object", "minProperties": 1, "propertyNames": {"pattern": name_pattern()},
                    "additionalProperties": {"type": "number", "exclusiveMinimum": 0}}]}
"""A sum of losses, as text or by their weights."""
_BY_LEVEL = {"oneOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}, {"type": "null"},
                       {"type": "string", "pattern": r"^(none|[0-9]+([x, ]+[0-9]+)*)$"}]}
"""Numbers for the levels, coarse to fine, as in a configuration."""


def _type(hint: Any) -> dict[str, Any]:
    if typing.get_origin(hint) is typing.Literal:
        return {"enum": list(typing.get_args(hint))}
    words = {float: "number", int: "integer", bool: "boolean", str: "string", tuple: "array", type(None): "null"}
    kinds = [words[typing.get_origin(kind) or kind] for kind in kinds_of(hint)]
    return {"type": kinds if len(kinds) > 1 else kinds[0]}


def _shown(need: inspect.Parameter) -> str:
    return f"{need.name}: {kind_of(need.annotation)}" + ("" if need.default is need.empty else "?")


def _shown_setting(setting: inspect.Parameter) -> str:
    return f"{setting.name}=" + ("..." if setting.default is setting.empty else f"{setting.default}")
