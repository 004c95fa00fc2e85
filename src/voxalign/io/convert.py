"""Arrays and images of other libraries in and out, so that nobody converts by hand.

Array axes stay as nibabel has them (i, j, k); SimpleITK's ``GetArrayFromImage`` has the same axes reversed.
"""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core import Grid, Image, InputError
from .header import from_lps, say
from .nifti import embed, stored_type

if TYPE_CHECKING:
    import nibabel
    import SimpleITK

_MILLIMETRES = {"meter": 1000.0, "micron": 0.001}


def as_image(thing: Any, is_label: bool = False) -> Image:
    """Whatever holds an image, as an `Image`.

    Parameters
    ----------
    thing : Image, path, NumPy array (*shape) or CPU torch tensor (1 mm voxels from the origin), nibabel image or
        SimpleITK image.
    is_label : mark it as labels (an Image that already says so stays labels).

    Raises
    ------
    InputError : none of these, or not one 2-D or 3-D image.
    """
    if isinstance(thing, Image):
        return thing if thing.is_label or not is_label else Image(thing.data, thing.grid, thing.mask, True)
    if isinstance(thing, str | os.PathLike):
        from .image import load

        return load(thing, is_label=is_label)
    home = {base.__module__.partition(".")[0] for base in type(thing).__mro__}
    if "nibabel" in home:
        return _from_nibabel(thing, is_label)
    if "SimpleITK" in home:
        return _from_sitk(thing, is_label)
    if "torch" in home:
        thing = thing.detach().cpu().numpy()
    if isinstance(thing, np.ndarray):
        return _from_array(thing, is_label)
    raise InputError(f"cannot make an image of {type(thing).__name__}: expected a path, an array, an Image, "
                     "a nibabel or a SimpleITK image")


def to_nibabel(image: Image) -> nibabel.Nifti1Image:
    """The same image for nibabel: sform and qform set, mm; channels as the fifth axis."""
    import nibabel

    data = image.data.astype(stored_type(image), copy=False)
    shape = image.grid.shape if image.channels == 1 else (*image.grid.shape, *(1,) * (4 - image.dim), image.channels)
    volumes = np.moveaxis(data, 0, -1).reshape(shape)
    affine = embed(image.grid.affine)
    out = nibabel.Nifti1Image(volumes, affine)
    out.header.set_xyzt_units("mm")
    if image.channels > 1:
        out.header.set_intent("vector")
    out.set_sform(affine, 1)
    out.set_qform(affine, 1)
    return out


def to_sitk(image: Image) -> SimpleITK.Image:
    """The same image for SimpleITK, in LPS mm; a sheared grid keeps its sheared direction, with an `InputWarning`."""
    import SimpleITK

    data = image.data.astype(stored_type(image), copy=False)
    turned = np.ascontiguousarray(np.moveaxis(data, 0, -1).transpose(*range(image.dim - 1, -1, -1), image.dim))
    out = SimpleITK.GetImageFromArray(turned if image.channels > 1 else turned[..., 0], isVector=image.channels > 1)
    if not image.grid.is_orthogonal:
        say("the grid is sheared: SimpleITK keeps its direction but may refuse to write it")
    lps = from_lps(image.grid.affine)
    out.SetSpacing(image.grid.spacing.tolist())
    out.SetDirection((lps[:-1, :-1] / image.grid.spacing).ravel().tolist())
    out.SetOrigin(lps[:-1, -1].tolist())
    return out


def _from_array(array: NDArray, is_label: bool) -> Image:
    if array.ndim not in (2, 3):
        raise InputError(f"an array of shape {array.shape}: expected a 2-D or 3-D image; for channels build an Image")
    return Image.from_array(array, is_label=is_label)


def _from_nibabel(thing: Any, is_label: bool) -> Image:
    shape = tuple(int(n) for n in thing.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (2, 3):
        raise InputError(f"a nibabel image of shape {thing.shape}: expected 2-D or 3-D; take one with image.slicer[..., t]")
    affine = np.array(thing.affine, np.float64)
    units = getattr(thing.header, "get_xyzt_units", lambda: ("mm",))()[0]
    factor = _MILLIMETRES.get(units, 1.0)
    if factor != 1:
        say(f"nibabel image converted from {units} to mm")
    affine = affine * [[factor], [factor], [factor], [1.0]]
    if len(shape) == 2:
        affine = affine[np.ix_([0, 1, 3], [0, 1, 3])]
    return Image(np.asanyarray(thing.dataobj).reshape(shape), Grid(shape, affine), is_label=is_label)


def _from_sitk(thing: Any, is_label: bool) -> Image:
    import SimpleITK

    dim = thing.GetDimension()
    if dim not in (2, 3):
        raise InputError(f"a {dim}-D SimpleITK image: expected 2-D or 3-D; take one volume with image[..., t]")
    affine = np.eye(dim + 1)
    affine[:-1, :-1] = np.reshape(thing.GetDirection(), (dim, dim)) * thing.GetSpacing()
    affine[:-1, -1] = thing.GetOrigin()
    array = SimpleITK.GetArrayFromImage(thing)
    channels = array.ndim > dim
    data = array.transpose(dim, *range(dim - 1, -1, -1)) if channels else array.T[None]
    return Image(data, Grid(thing.GetSize(), from_lps(affine)), is_label=is_label)
