"""Pictures made ready as preprocessor_config.json beside a model says (Hugging Face).

The steps and their order are those of its image processors for Pillow: RGB, resize, crop from the
centre, rescale, normalise, channels first or last as the model's input has them. What the file
asks for besides is refused by name, never left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data import besides, extra
from toolkit.data.examples import Inputs
from toolkit.errors import InputError
from toolkit.tensors import Array, TensorSpec

FILE = "preprocessor_config.json"
KNOWN = frozenset(
    (
        *("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"),
        *("size", "resample", "crop_size", "rescale_factor", "image_mean", "image_std"),
        # These say what the values above mean to a program, or where they are from.
        *("image_processor_type", "feature_extractor_type", "processor_class", "data_format"),
        *("input_data_format", "default_to_square", "return_tensors", "device", "disable_grouping"),
        *("_valid_processor_keys", "_name_or_path", "auto_map"),
    )
)
"""What a file may say; everything else that is set is refused by name."""
PLAIN = frozenset(("ViT", "Siglip", "Blip", "Beit"))
CROPPING = frozenset(("CLIP", "Bit", "DeiT", "MobileNetV1", "MobileNetV2"))
"""Processors of Hugging Face whose steps these are, the latter with a crop unless the file says
otherwise. Others read the same words otherwise: LeViT's size is not the size."""
SUFFIX = re.compile(r"(ImageProcessor(Fast|Pil)?|FeatureExtractor)$")
MOST_SIDE = 16_384
"""Pixels of a side that a file may ask for."""
BILINEAR = 2
"""Pillow's number of the filter that these processors take by default."""
CURE = "--preprocess FILE.py:NAME    a function of yours from a PIL image to the inputs"


@dataclass(frozen=True)
class ImageProcessor:
    """The steps of one file, for one input of a model."""

    spec: TensorSpec
    channels: int
    is_last: bool
    """The channels are the last axis, not the first."""
    exact: tuple[int, int] | None
    """(height, width) to resize to."""
    shortest: int | None
    """What the shorter side is resized to."""
    resample: int
    crop: tuple[int, int] | None
    factor: float | None
    mean: Array | None
    """(channels,)"""
    deviation: Array | None

    def __call__(self, image: Any) -> Inputs:
        """The input of one PIL image."""
        image = image.convert("RGB" if self.channels == 3 else "L")
        if self.exact is not None:
            image = image.resize(self.exact[::-1], self.resample)
        elif self.shortest is not None:
            image = image.resize(_by_shorter(image.size, self.shortest), self.resample)
        pixels = np.asarray(image)
        pixels = pixels if pixels.ndim == 3 else pixels[..., None]  # (height, width, channels)
        if self.crop is not None:
            pixels = _cropped(pixels, *self.crop)
        values: Array = pixels.astype(np.float32)
        if self.factor is not None:
            values = (pixels.astype(np.float64) * self.factor).astype(np.float32)
        if self.mean is not None and self.deviation is not None:
            values = (values - self.mean) / self.deviation
        if not self.is_last:
            values = values.transpose(2, 0, 1)
        return {self.spec.name: values}


def beside(folder: Path, inputs: Sequence[TensorSpec]) -> ImageProcessor:
    """The processor beside a model. Raises InputError where there is none, where it asks for what
    is not done here, and for a model without one picture as its input."""
    path = folder / FILE
    config = besides.mapping(path)
    if not config:
        raise InputError(
            f"there is no {FILE} beside the model to make its inputs of pictures", CURE
        )
    spec = inputs[0]
    if len(inputs) != 1 or spec.shape is None or len(spec.shape) != 4:
        raise InputError(
            f"{FILE} makes one input [batch,3,height,width]; the model has others", CURE
        )
    for word, value in config.items():
        if word not in KNOWN and value not in (None, False):
            raise InputError(f"{FILE} asks for {word}, which is not done here", CURE)
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "ViT")
    kind = SUFFIX.sub("", kind)
    if kind not in PLAIN | CROPPING:
        raise InputError(f"{FILE} is of the kind {kind[:80]!r}, which is not known here", CURE)
    if kind != "ViT" and config.get("do_resize", True) and "resample" not in config:
        raise InputError(f"{FILE} does not say by which filter it resizes (resample)", CURE)
    is_last = spec.shape[3] in (1, 3) and spec.shape[1] not in (1, 3)
    channels = spec.shape[3 if is_last else 1]
    channels = channels if isinstance(channels, int) else 3
    if channels not in (1, 3):
        raise InputError(f"the input {spec} has {channels} channels; a picture has 1 or 3", CURE)
    exact, shortest = _resize(config) if config.get("do_resize", True) else (None, None)
    crops = config.get("do_center_crop", kind in CROPPING)
    crop = config.get("crop_size", 224) if crops else None
    factor = float(_number(config, "rescale_factor", 1 / 255))
    is_normal = config.get("do_normalize", True)
    extra.module("PIL.Image", "reading pictures")
    return ImageProcessor(
        spec=spec,
        channels=channels,
        is_last=is_last,
        exact=exact,
        shortest=shortest,
        resample=int(_number(config, "resample", BILINEAR)),
        crop=None if crop is None else _pair(crop, "crop_size"),
        factor=factor if config.get("do_rescale", True) else None,
        mean=_channels(config, "image_mean", channels) if is_normal else None,
        deviation=_channels(config, "image_std", channels) if is_normal else None,
    )


def _resize(config: Mapping[str, Any]) -> tuple[tuple[int, int] | None, int | None]:
    """What to resize to: both sides, or the shorter one."""
    wanted = config.get("size", 224)
    if isinstance(wanted, Mapping) and {*wanted} == {"shortest_edge"}:
        return None, _side(wanted["shortest_edge"], "size")
    if isinstance(wanted, int) and config.get("do_center_crop"):
        return None, _side(wanted, "size")  # As older files say it.
    return _pair(wanted, "size"), None


def _pair(value: Any, name: str) -> tuple[int, int]:
    if isinstance(value, Mapping) and {*value} == {"height", "width"}:
        return _side(value["height"], name), _side(value["width"], name)
    if isinstance(value, int):
        return _side(value, name), _side(value, name)
    raise InputError(f"{FILE}: {name} is {str(value)[:80]}, which is not done here", CURE)


def _side(value: Any, name: str) -> int:
    if type(value) is not int or not 0 < value <= MOST_SIDE:
        raise InputError(f"{FILE}: {name} has a side of {str(value)[:80]} pixels", CURE)
    return value


def _number(config: Mapping[str, Any], name: str, default: float) -> float:
    value = config.get(name, default)
    if type(value) not in (int, float):
        raise InputError(f"{FILE}: {name} is {str(value)[:80]}, not a number", CURE)
    return float(value)


def _channels(config: Mapping[str, Any], name: str, count: int) -> Array:
    value = config.get(name)
    numbers = value if isinstance(value, list) else [value] * count
    if len(numbers) != count or not all(type(each) in (int, float) for each in numbers):
        raise InputError(f"{FILE}: {name} is not one number for each of {count} channels", CURE)
    if name == "image_std" and 0 in numbers:
        raise InputError(f"{FILE}: {name} divides by 0", CURE)
    return np.array(numbers, np.float32)


def _by_shorter(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """(width, height) whose shorter side is `shorter`; the longer one is rounded down."""
    width, height = size
    longer = int(shorter * max(size) / min(size))
    if longer > MOST_SIDE:
        raise InputError(f"a picture of {width} × {height} pixels is too long to be resized")
    return (shorter, longer) if width <= height else (longer, shorter)


def _cropped(pixels: Array, height: int, width: int) -> Array:
    """The middle of a picture; a smaller one is filled up with zeros."""
    rows, columns = pixels.shape[:2]
    if rows < height or columns < width:
        # The larger half of an odd rest stands first.
        above, left = (
            max(0, -(-(height - rows) // 2)),
            max(0, -(-(width - columns) // 2)),
        )
        filled = np.zeros((max(height, rows), max(width, columns), pixels.shape[2]), pixels.dtype)
        filled[above : above + rows, left : left + columns] = pixels
        pixels, (rows, columns) = filled, filled.shape[:2]
    top, start = (rows - height) // 2, (columns - width) // 2
    return pixels[top : top + height, start : start + width]
