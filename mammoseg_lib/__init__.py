"""Breast mass segmentation, as four papers describe it: the library behind the notebooks."""
