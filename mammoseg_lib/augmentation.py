"""Random alterations of training images: Table 1 of paper 003, with the library that the paper used (SOLT).

augment = build_augmentation("encoder_decoders", size=512)
image, mask = augment(image, mask, seed)

Where the images are used, any function of the form `Augment` takes the place of this one.

The paper names "version 1.8.1", which does not exist; v0.1.8 is the closest. The transforms of the solt of
today compute the same (look-up tables, noise, blur and crop are unchanged), apart from two things:

- *Frame.* In v0.1.8 a rotation or a scale makes the frame larger or smaller, so that the whole image stays in
  it; today's default keeps the frame. `ignore_fast_mode=True` brings the old way back. A frame that became
  smaller than the crop is padded with zeros first. Table 1 does not list that, but without it v0.1.8 ends
  with an error.
- *Cutout.* v0.1.8 takes pixels only. A share, as in the paper's 20 %, is one of each **side** in solt, and so
  4 % of the area.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from mammoseg_lib.checks import check_choice

Augment = Callable[
    [Float[np.ndarray, "h w"], Bool[np.ndarray, "h w"], int],
    tuple[Float[np.ndarray, "a b"], Bool[np.ndarray, "a b"]],
]
DIVISOR = 64  # of the sides of what a network sees
PAPER_SIZE = 512  # side of the images that the paper's values in pixels belong to


@dataclass(frozen=True)
class Transform:
    """One row of the table.

    Attributes:
        name: As in the paper's Table 1.
        parameters: As in the table, for 512-pixel images.
        operation: What does it, with the values for the size at hand: a transform or a stream of SOLT. Its
            `state_dict` tells what was drawn last.
    """

    name: str
    parameters: str
    operation: Callable


@dataclass(frozen=True)
class Augmentation:
    """Transforms one after the other, each drawn anew: an `Augment`.

    Image and mask go through the same geometry, the image with linear interpolation and the mask with that of
    the nearest neighbor; what comes in from outside is black and no mass. A mask may lose its mass: crops and
    shifts do not look at it.

    Attributes:
        transforms: What is applied, in this order.
        size: Side of the images in pixels, for which the transforms were made.
    """

    transforms: tuple[Transform, ...]
    size: int

    def __call__(
        self, image: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"], seed: int
    ) -> tuple[Float[np.ndarray, "a b"], Bool[np.ndarray, "a b"]]:
        """One draw, which follows from the seed alone.

        Args:
            image: Gray values in 0..1. They are rounded to 8 bits first: SOLT works on such images, and the
                rounding is part of the paper's recipe.
            mask: The masses.
            seed: Of this draw, not negative. The global random states are left as they were.

        Returns:
            The altered image in float32, a multiple of 1/255 in 0..1, and its mask.

        Raises:
            ValueError: For an image of another size or with values outside 0..1.
        """
        if image.shape != (self.size, self.size):
            raise ValueError(f"made for {self.size} x {self.size} pixels, not {image.shape}")
        if not 0 <= image.min() <= image.max() <= 1:  # also false for NaN
            raise ValueError("gray values in 0..1 are needed; normalize after the augmentation, not before")
        import solt  # here and below: it takes two seconds, and most runs alter nothing

        gray = np.rint(255 * image).astype(np.uint8)[..., None]
        data = solt.DataContainer((gray, mask.astype(np.uint8)), "IM")
        before = random.getstate()
        random.seed(seed)  # all that solt draws comes from here
        try:
            for transform in self.transforms:
                data = transform.operation(data, return_torch=False)
        finally:
            random.setstate(before)
        gray, mask = data.data
        return gray[..., 0] / np.float32(255), mask.astype(bool)


def crop_side(size: int) -> int:
    """Side of the random crop: 448 of 512 as in 003, else the closest multiple of 64, ties down.

    The U-Net of 003 halves an image six times, so its sides must be divisible by 64.

    Raises:
        ValueError: For images smaller than 64 pixels.
    """
    if size < DIVISOR:
        raise ValueError(f"images of {size} pixels are too small for a crop that is divisible by {DIVISOR}")
    closest = DIVISOR * math.ceil(448 / PAPER_SIZE * size / DIVISOR - 0.5)
    return min(closest, DIVISOR * (size // DIVISOR))


def encoder_decoders(size: int, probability: float = 0.5) -> tuple[Transform, ...]:
    """The rows of Table 1 of paper 003, in its order.

    Values in pixels are scaled by size/512, kernels of blurs to the closest odd number; one that ends at 1
    leaves the image as it is. Gray values count from 0 to 255.

    - Rotation by U(-3, 3) degrees. Scale by U(.7, 1.3) and shift by U(-50, 50) px, each axis its own.
    - Crop at a random place (solt never takes the last one), always: it sets the size.
    - Gamma: 255 (i / 255)^(1 / γ), γ ~ U(.5, 1.8).
    - Brightness: **adds** U(30, 100), so it only ever brightens. The row's "and contrast" is not done: SOLT's
      contrast multiplies, and nothing is left of an image times 30.
    - Salt and pepper: a share U(0, .1) of the pixels, half to 255 and half to 0.
    - Gaussian noise: (1 - g) image + g noise, g ~ U(0, .5), the noise stretched from 0 to 255.
    - Blurs: kernel 3, 7 or 11; sigma U(1, 5). The table lists a sigma for the median, too, which has none.
    - Cutout: one black rectangle, 20 % of each side.

    Args:
        size: Side of the images in pixels.
        probability: Of each transform but the crop.
    """
    import solt
    import solt.transforms as slt

    unit, crop = size / PAPER_SIZE, crop_side(size)
    shift = 50 * unit
    kernels = tuple(2 * math.floor(k * unit / 2) + 1 for k in (3, 7, 11))
    blur = {"k_size": kernels, "gaussian_sigma": (unit, 5 * unit), "p": probability}
    moving = {"ignore_fast_mode": True, "p": probability}
    rows = (
        ("Rotation", "[-3, 3] degrees", slt.Rotate(angle_range=(-3, 3), **moving)),
        ("Scale", "[0.7, 1.3]", slt.Scale((0.7, 1.3), (0.7, 1.3), same=False, **moving)),
        ("Translation", "50 px", slt.Translate(shift, shift, **moving)),
        ("Random crop", "[448, 448] px", solt.Stream([slt.Pad(crop), slt.Crop(crop, crop_mode="r")])),
        ("Flip", "horizontal", slt.Flip(axis=1, p=probability)),
        ("Gamma correction", "[0.5, 1.8]", slt.GammaCorrection(gamma_range=(0.5, 1.8), p=probability)),
        ("Brightness and contrast", "[30, 100]", slt.Brightness((30, 100), p=probability)),
        ("Salt and pepper noise", "0.1", slt.SaltAndPepper(gain_range=0.1, p=probability)),
        ("Gaussian noise", "0.5", slt.Noise(gain_range=0.5, p=probability)),
        ("Gaussian blur", "[3, 7, 11], [1, 5]", slt.Blur(blur_type="g", **blur)),
        ("Median blur", "[3, 7, 11], [1, 5]", slt.Blur(blur_type="m", **blur)),
        ("Cutout", "20 %", slt.CutOut(cutout_size=0.2, p=probability)),
    )
    return tuple(Transform(*row) for row in rows)


AUGMENTATIONS: Mapping[str, Callable[[int], tuple[Transform, ...]]] = {
    "none": lambda size: (),
    "encoder_decoders": encoder_decoders,
}


def build_augmentation(name: str, size: int) -> Augment | None:
    """What alters the training images of one size; None for "none".

    Raises:
        ValueError: For an unknown name, with the known ones.
    """
    check_choice("augmentation", name, tuple(AUGMENTATIONS))
    transforms = AUGMENTATIONS[name](size)
    return Augmentation(transforms, size) if transforms else None
