"""Filters and features by name: steps from text or a configuration, one image file through them to another."""
from __future__ import annotations

import inspect
import shlex
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from .. import io
from ..core import Image, InputError, Points, UsageError
from ..core.errors import choose
from ..features import FEATURES
from ..filters import FILTERS
from ..nn.denoise import autoencoder
from ..nn.translate import translate
from .checks import check_image, looks_like_labels, warn
from .choose import Choose
from .output import check_file, check_folder

OPERATIONS: dict[str, Callable[..., Image]] = FILTERS | FEATURES | {"autoencoder": autoencoder, "translate": translate}
"""Everything a step may be."""


@dataclass(frozen=True)
class Step:
    """One filter or feature with its settings: an image in, an image out.

    Parameters
    ----------
    name : in `OPERATIONS`.
    settings : keywords of that function; texts (``"1,1,2"``, a file name) are turned into what it expects.

    Raises
    ------
    UsageError : an unknown name or keyword, a value of the wrong kind, or one that is missing.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = settings_of(OPERATIONS[choose(self.name, OPERATIONS, "step")])
        values = {choose(key, known, f"setting of {self.name}"): as_value(given, known[key].annotation, f"{self.name}: {key}")
                  for key, given in self.settings.items()}
        missing = [key for key, setting in known.items() if setting.default is setting.empty and key not in values]
        if missing:
            raise UsageError(f"step {self.name} needs {', '.join(f'{key}=...' for key in missing)}; see voxalign process --list")
        object.__setattr__(self, "settings", values)

    def __call__(self, image: Image) -> Image:
        """The image after this step; errors as of the function."""
        return OPERATIONS[self.name](image, **self.settings)

    @classmethod
    def parse(cls, text: str) -> Step:
        """``"gaussian sigma=1.5"``: the name, then settings.

        Raises
        ------
        UsageError : as of `Step`, or not of this form.
        """
        try:
            name, *pairs = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"step {text!r}: {error or 'is empty'}; expected a name and settings such as 'gaussian sigma=1.5'") from None
        wrong = [pair for pair in pairs if "=" not in pair]
        if wrong:
            raise UsageError(f"step {text!r}: {wrong[0]!r} is no setting; expected key=value, such as 'gaussian sigma=1.5'")
        keys = [pair.partition("=")[0] for pair in pairs]
        if len(set(keys)) < len(keys):
            raise UsageError(f"step {text!r}: a setting is given twice")
        return cls(name, dict(pair.split("=", 1) for pair in pairs))


@dataclass(frozen=True)
class Processing:
    """A file, what to do with it, and where the result goes.

    Parameters
    ----------
    kind : ``image`` or ``labels``; None to look at the content.
    """

    given: Path
    out: Path
    steps: tuple[Step, ...]
    choose: Choose = field(default_factory=Choose)
    kind: str | None = None
    overwrite: bool = False


def process_file(job: Processing) -> Path:
    """Take ``job.given`` through all steps and write ``job.out``; labels are written as labels.

    Raises
    ------
    UsageError : no steps.  InputError : files that cannot be used, or what the steps refuse.
    """
    if not job.steps:
        raise UsageError("no step was given: expected at least one, such as --step 'gaussian sigma=1.5'; see voxalign process --list")
    check_file(job.out, job.overwrite, [job.given])
    io.save(process(_load(job), job.steps), job.out)
    return job.out


GALLERY = ("filters.png", "features.png")
"""Names of the pictures that `write_gallery` makes."""


def write_gallery(job: Processing) -> Path:
    """Write pictures of what filters and features make of ``job.given`` to the folder ``job.out``; for large images, of a coarser one.

    Raises
    ------
    UsageError : steps were given.  InputError : a file that cannot be used, or not an image of one channel.
    """
    from ..report.gallery import galleries  # matplotlib takes a second

    if job.steps:
        raise UsageError("--gallery shows steps of its own; leave out --step, or --gallery")
    check_folder(job.out, job.overwrite, [job.given], GALLERY)
    image = _load(job)
    check_image(image, str(job.given))
    drawn = {name: png(figure) for name, figure in galleries(image).items()}
    job.out.mkdir(parents=True, exist_ok=True)
    for name, content in drawn.items():
        io.write_bytes(job.out / name, [content])
    return job.out


def png(figure: Any) -> bytes:
    """The bytes of a PNG file of a figure."""
    out = BytesIO()
    figure.savefig(out, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None})
    return out.getvalue()


def process(image: Image, steps: Sequence[Step]) -> Image:
    """``image`` after all steps, in order."""
    for step in steps:
        image = step(image)
    return image


def catalogue() -> dict[str, dict[str, str]]:
    """What steps there are: the settings of each with their defaults, and what it does in a line."""
    return {name: {"settings": " ".join(_shown(key, setting) for key, setting in settings_of(function).items()),
                   "does": (inspect.getdoc(function) or "").partition("\n")[0]} for name, function in OPERATIONS.items()}


def settings_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keywords of what a step does, with types and defaults."""
    hints = typing.get_type_hints(function)
    return {key: parameter.replace(annotation=hints[key]) for key, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY}


def _load(job: Processing) -> Image:
    """The input as what it is, or is said to be; images of one value, in which nothing can be seen, are refused."""
    if job.kind == "labels":
        return io.load(job.given, is_label=True)
    image = job.choose.load(job.given)
    if image.channels > 1:
        return image
    values = image.array if image.mask is None else image.array[image.mask]
    if values.size and values.min() == values.max():
        raise InputError(f"{job.given}: every voxel is {values.flat[0]:.6g}, expected contrast; is it the right file? "
                         "For a label map add --kind labels")
    if job.kind == "image" or not looks_like_labels(image.data[0]):
        return image
    warn(f"{job.given}: looks like a label map and is treated as one; add --kind image if it is not")
    return Image(image.data, image.grid, image.mask, is_label=True)


def _shown(key: str, setting: inspect.Parameter) -> str:
    return f"{key}=..." if setting.default is setting.empty else f"{key}={setting.default}"


# -------------------------------------------------------------------- texts to values
def as_value(given: Any, kind: Any, what: str) -> Any:
    """``given`` as one of the kinds that a parameter takes.

    Raises
    ------
    UsageError : it is none of them.
    """
    kinds = kinds_of(kind)
    for one in sorted(kinds, key=lambda k: k is not types.NoneType):  # "none" is a word too
        try:
            return _AS[typing.get_origin(one) or one](given)
        except (TypeError, ValueError):
            continue
    raise UsageError(f"{what} is {given!r}: expected {' or '.join(_WORDS[typing.get_origin(one) or one] for one in kinds)}")


def kinds_of(kind: Any) -> tuple[Any, ...]:
    """The members of a union, or the kind itself."""
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def _number(given: Any) -> float:
    if isinstance(given, bool):
        raise TypeError
    return float(given)


def _whole(given: Any) -> int:
    if isinstance(given, bool) or float(given) != int(float(given)):
        raise ValueError
    return int(float(given))


def _flag(given: Any) -> bool:
    known = {"true": True, "yes": True, "false": False, "no": False}
    return known[str(given).lower()] if str(given).lower() in known else _fail()


def _fail() -> typing.NoReturn:
    raise ValueError


def _several(given: Any) -> tuple[float, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(_number(part) for part in parts)


def _nothing(given: Any) -> None:
    return None if given is None or str(given).lower() == "none" else _fail()


def _text(given: Any) -> str:
    return given if isinstance(given, str) else _fail()


def _image(given: Any) -> Image:
    return given if isinstance(given, Image) else io.load(Path(given))


def _points(given: Any) -> Points:
    """A file, or points themselves: ``"10,20,30;11,25,30"``."""
    if isinstance(given, Points):
        return given
    try:
        rows = [_several(row) for row in given.split(";")] if isinstance(given, str) else [_several(row) for row in given]
    except ValueError:
        return io.load_points(Path(given))
    return Points(rows)


_AS: dict[Any, Callable[[Any], Any]] = {float: _number, int: _whole, bool: _flag, str: _text, tuple: _several, types.NoneType: _nothing,
                                        Image: _image, Points: _points}
_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a word", tuple: "numbers with commas between",
          types.NoneType: "none", Image: "an image file", Points: "world coordinates such as 10,20,30, or a file of points"}
