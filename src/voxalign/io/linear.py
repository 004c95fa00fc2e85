"""What the readers and writers of plain matrices share."""
from __future__ import annotations

from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core import Field, InputError, Transform
from .header import refuse
from .stream import open_file

_MOST = 1 << 20  # bytes of a text file of one matrix, generously


def text_of(path: Path) -> str:
    """A small text file.

    Raises
    ------
    InputError : missing, or much too large.
    """
    with open_file(path) as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST or b"\0" in data:
        raise refuse(path, "not a text file of one transform")
    return data.decode("utf-8", "replace")


def numbers(path: Path) -> NDArray[np.float64]:
    """The table of numbers in a text file, (rows, columns); ``#`` starts a comment.

    Raises
    ------
    InputError : words among the numbers, or rows of different lengths.
    """
    rows = [line.split("#")[0].split() for line in text_of(path).splitlines()]
    try:
        return np.array([row for row in rows if row], np.float64)
    except ValueError:
        raise refuse(path, "expected rows of numbers, all of the same length") from None


def matrix_of(transform: Transform) -> NDArray[np.float64]:
    """A linear transform as one (D+1, D+1) matrix.

    Raises
    ------
    InputError : it is not linear.
    """
    parts = transform.parts()
    if parts is None or any(isinstance(part, Field) for part in parts):
        raise InputError(f"{type(transform).__name__} is not linear and this format holds a matrix only: write .h5 instead")
    return reduce(lambda first, second: second @ first, parts, np.eye(transform.dim + 1))


def spatial_matrix(transform: Transform) -> NDArray[np.float64]:
    """`matrix_of` a 3-D transform, (4, 4); an `InputError` for a 2-D one."""
    if transform.dim != 3:
        raise InputError(f"a {transform.dim}-D transform: this format holds 3-D ones; write .tfm or .h5 instead")
    return matrix_of(transform)
