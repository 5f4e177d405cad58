"""From a released image to the array a network sees, and the cache of such arrays.

`breast` finds the breast in a mammogram, `steps` crops, windows and resizes, `cache` prepares whole sets.
"""

from mammoseg_lib.preprocessing.breast import breast_mask, without_frame
from mammoseg_lib.preprocessing.cache import PreparedSet, prepare
from mammoseg_lib.preprocessing.steps import Prepared, Preprocessing, crop_and_window, prepare_sample

__all__ = [
    "Prepared",
    "PreparedSet",
    "Preprocessing",
    "breast_mask",
    "crop_and_window",
    "prepare",
    "prepare_sample",
    "without_frame",
]
