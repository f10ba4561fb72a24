"""The images of scipy.misc, over Pillow, as of SciPy 1.1."""

from __future__ import annotations

import numpy as np

from tf1_wd.errors import MissingPackageError

try:
    from PIL import Image
except ImportError as error:
    raise MissingPackageError.of("scipy.misc.imread", "PIL") from error

_RESAMPLING = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "cubic": 3}


def bytescale(data, cmin=None, cmax=None, high=255, low=0):
    """Numbers as bytes: the smallest is `low`, the largest `high`. Bytes stay as they are."""
    if data.dtype == np.uint8:
        return data
    cmin, cmax = data.min() if cmin is None else cmin, data.max() if cmax is None else cmax
    scale = float(cmax - cmin) or 1.0
    return (((data - cmin) * (float(high - low) / scale) + low).clip(low, high) + 0.5).astype(np.uint8)


def toimage(arr, high=255, low=0, cmin=None, cmax=None, pal=None, mode=None, channel_axis=None):
    """A Pillow image of an array of two dimensions, or of three of which one has 3 or 4 entries."""
    data = np.asarray(arr)
    if data.ndim == 2:
        if mode == "F":
            return Image.fromarray(data.astype(np.float32))
        image = Image.fromarray(bytescale(data, cmin, cmax, high, low))
        if mode in ("P", None) and pal is not None:
            image.putpalette(np.asarray(pal, np.uint8).tobytes())
        return image if mode in (None, "L", "P") else image.convert(mode)
    if data.ndim != 3 or not {3, 4} & set(data.shape):
        raise ValueError("'arr' does not have a suitable array shape for any mode.")
    if channel_axis is None:
        channel_axis = next(axis for axis in (2, 0, 1) if data.shape[axis] in (3, 4))
    pixels = np.ascontiguousarray(np.moveaxis(bytescale(data, cmin, cmax, high, low), channel_axis, 2))
    image = Image.fromarray(pixels)
    return image if mode in (None, image.mode) else image.convert(mode)


def fromimage(im, flatten=False, mode=None):
    """The array of a Pillow image. flatten: gray, as floats."""
    if mode is not None:
        im = im if im.mode == mode else im.convert(mode)
    elif im.mode == "P":
        im = im.convert("RGBA" if "transparency" in im.info else "RGB")
    if flatten:
        im = im.convert("F")
    elif im.mode == "1":
        im = im.convert("L")
    return np.array(im)


def imread(name, flatten=False, mode=None):
    """The array of an image file."""
    with Image.open(name) as image:
        return fromimage(image, flatten, mode)


def imsave(name, arr, format=None):
    """Writes an array as an image file."""
    toimage(arr, channel_axis=2 if np.ndim(arr) == 3 else None).save(name, format)


def imresize(arr, size, interp="bilinear", mode=None):
    """The array of an image in another size: percent, a fraction, or (rows, columns)."""
    image = toimage(arr, mode=mode)
    if isinstance(size, (int, np.integer)):
        size = size / 100.0
    if isinstance(size, (float, np.floating)):
        size = tuple((np.array(image.size) * size).astype(int))
    else:
        size = (int(size[1]), int(size[0]))
    return fromimage(image.resize(size, resample=_RESAMPLING[interp]))


def imrotate(arr, angle, interp="bilinear"):
    """The array of an image, turned counter-clockwise by an angle in degrees."""
    return fromimage(toimage(arr).rotate(angle, resample=_RESAMPLING[interp]))
