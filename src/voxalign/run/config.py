"""Choices from a preset, a file, ``--set`` and flags become one checked value.

Precedence: preset < configuration file < ``--set`` < flag. Keys are the fields of `register.Settings` and of
`Configuration`; everything unknown is refused with the nearest right name.
"""
from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..core import InputError, SecurityError, UsageError
from ..core.errors import choose
from ..register import PRESETS, Settings
from ..register.similarity import spelled
from .methods import INITIAL, METHODS

_POSITIVE = {"smoothness", "spacing", "window"}
HINTS = {**get_type_hints(Settings), "method": Literal[tuple(METHODS)], "preset": Literal[tuple(PRESETS)], "threads": int,
         "max_memory": float}
KEYS = tuple(HINTS)


@dataclass(frozen=True)
class Configuration:
    """Everything a registration depends on besides its input images.

    Parameters
    ----------
    settings : choices of the method.
    method, preset : by name.
    threads : at most so many; 0 takes all cores.
    max_memory : at most so many GB, for which the deformation may be worked out on larger voxels; 0 takes what there is.
    initial_file : a transform to start from; it then takes the place of ``settings.initial``.
    """

    settings: Settings = field(default_factory=Settings)
    method: str = "classical"
    preset: str = "default"
    threads: int = 0
    max_memory: float = 0.0
    initial_file: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Flat, with the names that files and flags use; given back to `configure` it makes the same value."""
        flat = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("settings", "initial_file")}
        flat |= asdict(self.settings)
        return flat | ({"initial": self.initial_file} if self.initial_file else {})


def configure(flags: Mapping[str, Any] | None = None, assignments: Sequence[str] = (), file: str | Path | None = None,
              base: Settings | None = None) -> Configuration:
    """One `Configuration` of all layers.

    Parameters
    ----------
    flags : values by key; None means not given.
    assignments : ``key=value`` strings.
    file : YAML (or JSON) mapping of keys to values.
    base : settings to start from instead of the defaults (the preset comes on top only if one is named).

    Raises
    ------
    UsageError : unknown keys or names, values of a wrong type or out of range.  InputError : no such file.
    SecurityError : the file asks for Python objects.
    """
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    layers = [read(file) if file else {}, dict(map(assignment, assignments)), given]
    values = {key: checked(key, value) for layer in layers for key, value in layer.items()}
    preset = values.pop("preset", "default")
    values = (asdict(base) if base else {}) | PRESETS[preset] | values
    outer = {f.name: values.pop(f.name) for f in fields(Configuration) if f.name in values}
    if values.get("initial") not in (None, *INITIAL):
        outer["initial_file"] = values.pop("initial")
    return Configuration(Settings(**values), preset=preset, **outer)


def read(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file."""
    import yaml  # 50 ms, needed only here and in --set

    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        values, twice = yaml.safe_load(text), _twice(yaml.compose(text, yaml.SafeLoader))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the configuration file ({error})") from error
    except yaml.constructor.ConstructorError as error:
        raise SecurityError(f"{path}: holds a YAML tag, expected plain keys and values ({error.problem})") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML, expected lines such as 'loss: lncc' ({_one_line(error)})") from error
    if not isinstance(values or {}, dict):
        raise UsageError(f"{path}: expected lines such as 'loss: lncc', found a {type(values).__name__}")
    if twice:
        raise UsageError(f"{path}: line {twice.start_mark.line + 1}: {twice.value!r} is given twice, expected once")
    return values or {}


def checked(key: str, value: Any) -> Any:
    """``value`` in the type that ``key`` asks for.

    Raises
    ------
    UsageError : unknown key, wrong type, out of range, unknown name.
    """
    key = choose(key, KEYS, "configuration key")
    if key == "initial":
        return _start(value)
    if key == "loss":
        return spelled(value)
    return _typed(key, value, HINTS[key])


def assignment(text: str) -> tuple[str, Any]:
    """Key and value of ``key=value`` (UsageError if it is none)."""
    import yaml

    key, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"--set {text!r}: expected key=value, for example loss=ncc")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        return key.strip(), value


def _start(value: Any) -> str:
    """The name of a start, or the path of a transform that exists."""
    name = "none" if value in (None, False) else str(value)  # YAML reads 'no' as False
    if name in INITIAL or Path(name).is_file():
        return name
    if Path(name).suffix:
        raise InputError(f"initial transform {name!r}: no such file; expected one, or one of {', '.join(INITIAL)}")
    return choose(name, INITIAL, "initial")


def _typed(key: str, value: Any, hint: Any) -> Any:
    kind, options = get_origin(hint), get_args(hint)
    if kind is Literal:
        return choose(str(value), options, key)
    if NoneType in options:
        return None if value in (None, "none") else _typed(key, value, next(o for o in options if o is not NoneType))
    if kind is tuple:
        items = value if isinstance(value, (list, tuple)) else [v for v in re.split(r"[x,\s]+", str(value)) if v]
        if not items:
            raise UsageError(f"{key} is empty: expected numbers such as 30x20x10")
        return tuple(_number(key, item, options[0]) for item in items)
    if hint is bool:
        return _truth(key, value)
    if hint is str:
        return str(value)
    return _number(key, value, hint)


def _number(key: str, value: Any, kind: type) -> int | float:
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (kind is int and number != int(number)):
        raise UsageError(f"{key} = {value!r}: expected {'a whole number' if kind is int else 'a number'}")
    if number < 0 or (number == 0 and key in _POSITIVE):
        raise UsageError(f"{key} = {value!r}: expected a number {'above' if key in _POSITIVE else 'not below'} 0")
    return kind(number)


def _truth(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{key} = {value!r}: expected true or false")
    return value


def _twice(root: Any) -> Any:
    """The first key (a node) that its mapping holds already; YAML would silently take the later one."""
    waiting, seen = [root], set()
    for node in waiting:  # grows while it is walked; aliases may make it a circle
        if node is None or id(node) in seen or isinstance(node.value, str):
            continue
        seen.add(id(node))
        keys: set[str] = set()
        for item in node.value:
            key, value = item if isinstance(item, tuple) else (None, item)
            waiting.append(value)
            if key is not None and str(key.value) in keys:
                return key
            keys |= {str(key.value)} if key is not None else set()
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
