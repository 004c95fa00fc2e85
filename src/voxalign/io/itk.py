"""What ITK's transforms mean, and its text (``.tfm``) and MATLAB (ANTs' ``.mat``) files.

An ITK transform takes fixed points to moving points, as ours do, in LPS mm; ours are RAS. A file is a list of *entries*:
a name, parameters, fixed parameters. A composite lists its members last-applied first, ours first-applied first.
The HDF5 files hold the same entries (`h5`). 3D Slicer, ANTs and SimpleITK all write these.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Compose, Field, Grid, Identity, InputError, Transform, compose
from ..transforms import Affine, BSpline, Displacement, Linear, Rigid, Similarity, Translation
from .atomic import write_bytes, write_text
from .stream import open_file

TEXT_MAGIC = b"#Insight Transform File"
DISPLACEMENT = "DisplacementFieldTransform"
_FARTHEST = 1e6  # mm; a displacement beyond is damage


@dataclass(frozen=True, eq=False)
class Entry:
    """One transform of an ITK file.

    Parameters
    ----------
    name : such as ``AffineTransform_double_3_3``.
    parameters : (P,) as in the file; when writing a displacement, the field itself (RAS).
    fixed : (Q,) fixed parameters as in the file; of a field to be written, empty.
    """

    name: str
    parameters: NDArray | Field
    fixed: NDArray[np.float64]

    @property
    def kind(self) -> str:
        """The name without precision and dimensions."""
        return self.name.split("_")[0]

    @property
    def dim(self) -> int:
        """2 or 3.

        Raises
        ------
        InputError : another dimension, another spline order, or no ITK name at all.
        """
        pieces = self.name.split("_")
        if len(pieces) != 4 or pieces[2] != pieces[3] or pieces[2] not in ("2", "3"):
            raise InputError(f"ITK transform {self.name!r} is not supported: expected a 2-D or 3-D one (B-splines of order 3)")
        return int(pieces[2])


# ---------------------------------------------------------------- RAS <-> LPS
def flips(dim: int) -> NDArray[np.float64]:
    """Signs that take RAS to LPS and back, (D,)."""
    return np.array([-1.0, -1.0, 1.0][:dim])


def grid_parameters(grid: Grid) -> NDArray[np.float64]:
    """Size, origin, spacing, direction (row by row) in LPS, as ITK's fixed parameters say a grid."""
    flip = flips(grid.dim)
    return np.concatenate([grid.shape, flip * grid.origin, grid.spacing, (flip[:, None] * grid.direction).ravel()]) + 0.0


def grid_of(fixed: NDArray, dim: int) -> Grid:
    """`grid_parameters` undone."""
    if len(fixed) != dim * (3 + dim):
        raise InputError(f"{len(fixed)} fixed parameters of a {dim}-D grid: expected {dim * (3 + dim)}")
    size, origin, spacing, direction = np.split(fixed, [dim, 2 * dim, 3 * dim])
    if not (np.isfinite(size).all() and (size >= 1).all() and (size < 1e6).all() and (spacing > 0).all()):
        raise InputError(f"grid of size {size} and spacing {spacing}: expected positive numbers")
    affine = np.eye(dim + 1)
    affine[:-1, :-1] = flips(dim)[:, None] * direction.reshape(dim, dim) * spacing
    affine[:-1, -1] = flips(dim) * origin
    return Grid(tuple(size.astype(int)), affine)


def _from_lps(linear: NDArray, translation: NDArray, centre: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x -> linear (x - centre) + centre + translation in LPS, as a RAS matrix and centre."""
    flip = flips(len(centre))
    matrix = np.eye(len(centre) + 1)
    matrix[:-1, :-1] = flip[:, None] * linear * flip
    matrix[:-1, -1] = flip * (centre + translation - linear @ centre)
    return matrix, flip * centre + 0.0


# ---------------------------------------------------------------- entries -> transform
def decode(entries: Sequence[Entry]) -> Transform:
    """The map that a file with these entries means.

    Raises
    ------
    InputError : unknown transforms, wrong numbers of parameters, NaN, singular matrices, or a list that is no composite.
    """
    if not entries:
        raise InputError("no transform in the file")
    first, *rest = entries
    if first.kind == "CompositeTransform":
        return compose([decode_one(entry) for entry in reversed(rest)]) if rest else Identity(first.dim)
    if len(entries) == 2 and first.kind == "BSplineDeformableTransform":
        return _with_bulk(first, rest[0])
    if rest:
        raise InputError(f"{len(entries)} transforms that are no composite: expected one map (split the list, or compose them)")
    return decode_one(first)


def decode_one(entry: Entry) -> Transform:
    """The map of one entry that is no composite."""
    dim = entry.dim
    if not np.isfinite(entry.fixed).all():
        raise InputError(f"fixed parameters of {entry.kind} contain NaN or infinity: the transform is damaged")
    if entry.kind == "IdentityTransform":
        return Identity(dim)
    if entry.kind == DISPLACEMENT:
        return _displacement(entry)
    if not np.isfinite(entry.parameters).all():
        raise InputError(f"parameters of {entry.kind} contain NaN or infinity: the transform is damaged")
    if entry.kind in ("BSplineTransform", "BSplineDeformableTransform"):
        return _bspline(entry)
    return _linear(entry)


def _displacement(entry: Entry) -> Displacement:
    grid = grid_of(entry.fixed, entry.dim)
    lps = _components(entry, grid, (*grid.shape[::-1], grid.dim))
    ras = np.empty((grid.dim, *grid.shape), np.float32)
    with np.errstate(over="ignore"):
        for j in range(grid.shape[-2]):  # plane by plane: a transposition at once would miss the cache at every number
            ras[..., j, :] = lps[:, j].T
    if not max(ras.max(), -ras.min()) < _FARTHEST:
        raise InputError(f"displacement field contains NaN or more than {_FARTHEST:g} mm: the transform is damaged")
    ras[:2] *= -1
    ras += 0  # no negative zeros
    return Displacement(Field(ras, grid))


def _bspline(entry: Entry) -> BSpline:
    grid = grid_of(entry.fixed, entry.dim)
    lps = _components(entry, grid, (grid.dim, *grid.shape[::-1]))
    return BSpline(np.stack([sign * c.T for sign, c in zip(flips(grid.dim), lps, strict=True)]), grid)


def _components(entry: Entry, grid: Grid, shape: tuple[int, ...]) -> NDArray:
    given, expected = entry.parameters.size, int(np.prod(shape))
    if given != expected:
        raise InputError(f"{entry.kind} of {given} parameters on a grid of {grid.shape}: expected {expected}")
    return entry.parameters.reshape(shape)


def _with_bulk(spline: Entry, bulk: Entry) -> Compose:
    """ITK 3's pair: bulk(x) + displacement(x), which is the bulk after a spline that its matrix has been taken out of."""
    outer, inner = _linear(bulk), _bspline(spline)
    undone = np.linalg.inv(outer.matrix[:-1, :-1])
    return Compose((BSpline(np.tensordot(undone, inner.coefficients, 1), inner.grid), outer))


def _linear(entry: Entry) -> Linear:
    if (entry.kind, entry.dim) not in _LINEAR:
        known = sorted({"BSplineTransform", DISPLACEMENT, *(kind for kind, dim in _LINEAR if dim == entry.dim)})
        raise InputError(f"ITK transform {entry.kind!r} in {entry.dim}-D is not supported: expected one of {', '.join(known)}")
    count, family, read = _LINEAR[entry.kind, entry.dim]
    parameters = np.asarray(entry.parameters, np.float64)
    if len(parameters) != count:
        raise InputError(f"{entry.kind} of {len(parameters)} parameters: expected {count}")
    if entry.kind.startswith("Centered"):
        linear, (centre, translation) = read(parameters), np.split(parameters[-2 * entry.dim :], 2)
    else:
        linear, translation = read(parameters)
        centre = entry.fixed[: entry.dim] if len(entry.fixed) >= entry.dim else np.zeros(entry.dim)
    if entry.kind == "Euler3DTransform" and len(entry.fixed) == 4 and entry.fixed[3]:
        linear = _turn(2, parameters[2]) @ _turn(1, parameters[1]) @ _turn(0, parameters[0])
    return family(*_from_lps(linear, translation, centre))


def _turn(axis: int, angle: float) -> NDArray[np.float64]:
    """Right-handed rotation about the x, y or z axis."""
    c, s = np.cos(angle), np.sin(angle)
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = c
    matrix[a, b], matrix[b, a] = -s, s
    return matrix


def _euler(angles: NDArray) -> NDArray[np.float64]:
    """ITK's default order, (3,) radians -> Rz Rx Ry."""
    return _turn(2, angles[2]) @ _turn(0, angles[0]) @ _turn(1, angles[1])


def _plane(angle: float) -> NDArray[np.float64]:
    return _turn(2, angle)[:2, :2]


def _quaternion(q: NDArray) -> NDArray[np.float64]:
    """(x, y, z, w) -> rotation matrix."""
    if not np.linalg.norm(q):
        raise InputError("quaternion of length 0: the transform is damaged")
    x, y, z, w = q / np.linalg.norm(q)
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                     [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                     [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def _versor(v: NDArray) -> NDArray[np.float64]:
    """The vector part of a unit quaternion -> rotation matrix."""
    return _quaternion(np.array([*v, np.sqrt(max(1 - v @ v, 0.0))]))


def _skewed(p: NDArray) -> NDArray[np.float64]:
    """`ScaleVersor3DTransform` and, with six more numbers, `ScaleSkewVersor3DTransform`: ITK adds them to the rotation."""
    added = np.diag(p[6:9] - 1)
    if len(p) > 9:
        added[~np.eye(3, dtype=bool)] = p[9:]
    return _versor(p[:3]) + added


def _composed(p: NDArray) -> NDArray[np.float64]:
    """`ComposeScaleSkewVersor3DTransform`: rotation, then scale, then skew, multiplied."""
    return _versor(p[:3]) @ np.diag(p[6:9]) @ np.array([[1, p[9], p[10]], [0, 1, p[11]], [0, 0, 1]])


def _matrix(dim: int) -> Callable:
    return lambda p: (p[: dim * dim].reshape(dim, dim), p[dim * dim :])


# (name, dimension): number of parameters, our family, parameters -> (linear, translation); the linear part alone of the
# Centered ones, whose last parameters are centre and translation
_LINEAR: dict[tuple[str, int], tuple[int, type[Linear], Callable]] = {
    ("Euler2DTransform", 2): (3, Rigid, lambda p: (_plane(p[0]), p[1:])),
    ("Rigid2DTransform", 2): (3, Rigid, lambda p: (_plane(p[0]), p[1:])),
    ("CenteredRigid2DTransform", 2): (5, Rigid, lambda p: _plane(p[0])),
    ("Similarity2DTransform", 2): (4, Similarity, lambda p: (p[0] * _plane(p[1]), p[2:])),
    ("CenteredSimilarity2DTransform", 2): (6, Similarity, lambda p: p[0] * _plane(p[1])),
    ("Euler3DTransform", 3): (6, Rigid, lambda p: (_euler(p), p[3:])),
    ("CenteredEuler3DTransform", 3): (9, Rigid, _euler),
    ("Rigid3DTransform", 3): (12, Rigid, _matrix(3)),
    ("VersorTransform", 3): (3, Rigid, lambda p: (_versor(p), np.zeros(3))),
    ("VersorRigid3DTransform", 3): (6, Rigid, lambda p: (_versor(p[:3]), p[3:])),
    ("QuaternionRigidTransform", 3): (7, Rigid, lambda p: (_quaternion(p[:4]), p[4:])),
    ("Similarity3DTransform", 3): (7, Similarity, lambda p: (p[6] * _versor(p[:3]), p[3:6])),
    ("ScaleVersor3DTransform", 3): (9, Affine, lambda p: (_skewed(p), p[3:6])),
    ("ScaleSkewVersor3DTransform", 3): (15, Affine, lambda p: (_skewed(p), p[3:6])),
    ("ComposeScaleSkewVersor3DTransform", 3): (12, Affine, lambda p: (_composed(p), p[3:6])),
}
for _dim in (2, 3):
    _LINEAR["TranslationTransform", _dim] = (_dim, Translation, lambda p: (np.eye(len(p)), p))
    _LINEAR["ScaleTransform", _dim] = (_dim, Affine, lambda p: (np.diag(p), np.zeros(len(p))))
    _LINEAR["CenteredAffineTransform", _dim] = (_dim * (_dim + 2), Affine, lambda p, d=_dim: p[: d * d].reshape(d, d))
    for _name in ("AffineTransform", "MatrixOffsetTransformBase", "FixedCenterOfRotationAffineTransform"):
        _LINEAR[_name, _dim] = (_dim * (_dim + 1), Affine, _matrix(_dim))
del _dim, _name


# ---------------------------------------------------------------- transform -> entries
def encode(transform: Transform) -> list[Entry]:
    """The entries of a file that means this map.

    Raises
    ------
    InputError : the map is neither linear, a B-spline, a field nor a chain of these.
    """
    members = [entry for part in _members(transform) for entry in _encode_one(part)]
    if len(members) == 1:
        return members
    kind = "CompositeTransform" if members else "IdentityTransform"
    return [Entry(f"{kind}_double_{transform.dim}_{transform.dim}", np.empty(0), np.empty(0)), *reversed(members)]


def holds(transform: Transform) -> bool:
    """Whether `encode` can say the map as it is."""
    return all(isinstance(member, BSpline) or member.parts() is not None for member in _members(transform))


def _members(transform: Transform) -> tuple[Transform, ...]:
    return transform.transforms if isinstance(transform, Compose) else (transform,)


def _encode_one(transform: Transform) -> list[Entry]:
    """Of one member, in the order of application."""
    if isinstance(transform, Linear):
        return [_encode_linear(transform)]
    if isinstance(transform, BSpline):
        return [_entry("BSplineTransform", transform.dim, _lps_coefficients(transform), grid_parameters(transform.grid))]
    parts = transform.parts()
    if parts is None:
        name = type(transform).__name__
        raise InputError(f"{name} has no form in ITK files: sample it first, Displacement.of(transform, grid)")
    return [Entry(f"{DISPLACEMENT}_float_{transform.dim}_{transform.dim}", part, np.empty(0)) if isinstance(part, Field)
            else _encode_linear(Affine(part)) for part in parts]


def _entry(kind: str, dim: int, parameters: ArrayLike, fixed: ArrayLike) -> Entry:
    return Entry(f"{kind}_double_{dim}_{dim}", np.asarray(parameters, np.float64) + 0.0, np.asarray(fixed, np.float64) + 0.0)


def _lps_coefficients(transform: BSpline) -> NDArray[np.float64]:
    signs = flips(transform.dim)
    return np.concatenate([sign * c.ravel(order="F") for sign, c in zip(signs, transform.coefficients, strict=True)])


def _encode_linear(transform: Linear) -> Entry:
    dim, flip = transform.dim, flips(transform.dim)
    linear = flip[:, None] * transform.matrix[:-1, :-1] * flip
    shift, centre = flip * transform.translation, flip * transform.centre
    if isinstance(transform, Translation):
        return _entry("TranslationTransform", dim, shift, [])
    if isinstance(transform, Rigid):
        angles = _angle(linear) if dim == 2 else _euler_angles(linear)
        return _entry(f"Euler{dim}DTransform", dim, [*angles, *shift], centre)
    if isinstance(transform, Similarity):
        scale = np.linalg.det(linear) ** (1 / dim)
        if dim == 2:
            return _entry("Similarity2DTransform", dim, [scale, *_angle(linear), *shift], centre)
        versor = _versor_of(linear / scale)
        if np.linalg.norm(versor) < 0.999999:  # ITK loses digits of half turns
            return _entry("Similarity3DTransform", dim, [*versor, *shift, scale], centre)
    return _entry("AffineTransform", dim, [*linear.ravel(), *shift], centre)


def _angle(linear: NDArray) -> tuple[float]:
    return (np.arctan2(linear[1, 0], linear[0, 0]),)


def _euler_angles(rotation: NDArray) -> tuple[float, float, float]:
    """`_euler` undone."""
    cosine = np.hypot(rotation[2, 0], rotation[2, 2])
    x = np.arctan2(rotation[2, 1], cosine)
    if cosine < 1e-9:  # y and z turn about the same axis
        return x, np.arctan2(rotation[1, 0], rotation[0, 0]) * np.sign(rotation[2, 1]), 0.0
    return x, np.arctan2(-rotation[2, 0], rotation[2, 2]), np.arctan2(-rotation[0, 1], rotation[1, 1])


def _versor_of(rotation: NDArray) -> NDArray[np.float64]:
    """`_versor` undone."""
    from scipy.spatial.transform import Rotation

    quaternion = Rotation.from_matrix(rotation).as_quat()
    return quaternion[:3] * (-1 if quaternion[3] < 0 else 1)


def flat(entry: Entry) -> Entry:
    """An entry whose field, if it has one, is written out as parameters."""
    if not isinstance(entry.parameters, Field):
        return entry
    field = entry.parameters
    lps = field.data * flips(field.grid.dim).astype(np.float32).reshape(-1, *(1,) * field.grid.dim)
    return Entry(entry.name, np.ascontiguousarray(lps.T).ravel() + 0, grid_parameters(field.grid))


# ---------------------------------------------------------------- text
def read_text(path: Path) -> list[Entry]:
    """The entries of a ``.tfm`` file."""
    with open_file(path) as file:
        lines = file.read().decode("utf-8", "replace").splitlines()
    entries: list[tuple[str, dict[str, NDArray]]] = []
    for line in lines[1:]:
        key, _, value = line.partition(":")
        if key.strip() == "Transform":
            entries.append((value.strip(), {}))
        elif key.strip() in ("Parameters", "FixedParameters") and entries:
            entries[-1][1][key.strip()] = _numbers(value)
        elif line.strip() and not line.startswith("#"):
            raise InputError(f"line {line[:40]!r} is not of an ITK transform file: the file is damaged")
    nothing = np.empty(0)
    return [Entry(name, values.get("Parameters", nothing), values.get("FixedParameters", nothing)) for name, values in entries]


def _numbers(text: str) -> NDArray[np.float64]:
    try:
        return np.array(text.split(), np.float64)
    except ValueError:
        raise InputError(f"{text.strip()[:40]!r}: expected numbers; the file is damaged") from None


def write_tfm(entries: Sequence[Entry], path: Path) -> None:
    """Write a ``.tfm`` file, atomically."""
    lines = [TEXT_MAGIC.decode() + " V1.0"]
    for number, entry in enumerate(map(flat, entries)):
        lines += [f"#Transform {number}", f"Transform: {entry.name}"]
        if entry.kind != "CompositeTransform":
            lines += ["Parameters: " + " ".join(map(repr, entry.parameters.tolist())),
                      "FixedParameters: " + " ".join(map(repr, entry.fixed.tolist()))]
    write_text(path, "\n".join([*lines, ""]))


# ---------------------------------------------------------------- MATLAB level 4
def read_mat(path: Path) -> list[Entry]:
    """The entries of an ANTs ``.mat`` file (MATLAB level 4: the parameters under the transform's name, then ``fixed``)."""
    with open_file(path) as file:
        data = file.read()
    if data.startswith(b"MATLAB 5.0"):
        raise InputError("a MATLAB 5 file: expected level 4, as ITK and ANTs write it")
    vectors = _mat_vectors(data)
    if len(vectors) % 2 or any(name != "fixed" for name, _ in vectors[1::2]):
        raise InputError("not an ITK transform: expected parameters and 'fixed' in turn")
    return [Entry(name, values, fixed) for (name, values), (_, fixed) in zip(vectors[::2], vectors[1::2], strict=True)]


def _mat_vectors(data: bytes) -> list[tuple[str, NDArray[np.float64]]]:
    vectors, at = [], 0
    while at < len(data):
        order = "<" if data[at : at + 4] and int.from_bytes(data[at : at + 4], "little") < 1000 else ">"
        if at + 20 > len(data):
            raise InputError("truncated MATLAB file: copy it again")
        code, rows, columns, imaginary, length = np.frombuffer(data, order + "i4", 5, at).tolist()
        number = {0: "f8", 10: "f4"}.get(code % 100)
        size = rows * columns * (8 if number == "f8" else 4)
        if number is None or imaginary or min(rows, columns) < 0 or not 0 < length < 256 or at + 20 + length + size > len(data):
            raise InputError("not a MATLAB level 4 file of real vectors, or truncated")
        name = data[at + 20 : at + 20 + length].rstrip(b"\0").decode("ascii", "replace")
        vectors.append((name, np.frombuffer(data, order + number, rows * columns, at + 20 + length).astype(np.float64)))
        at += 20 + length + size
    return vectors


def write_mat(entries: Sequence[Entry], path: Path) -> None:
    """Write linear transforms as ANTs' ``.mat``, atomically."""
    vectors = [vector for entry in entries for vector in ((entry.name, entry.parameters), ("fixed", entry.fixed))]
    write_bytes(path, [_mat_vector(name, values) for name, values in vectors])


def _mat_vector(name: str, values: NDArray) -> bytes:
    header = np.array([0, len(values), 1, 0, len(name) + 1], "<i4")
    return header.tobytes() + name.encode() + b"\0" + values.astype("<f8").tobytes()
