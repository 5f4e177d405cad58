"""Breast mass segmentation, as four papers describe it: the library behind the notebooks."""

import os

# Before PyTorch is loaded, for this process and those it starts: OpenMP threads that wait sleep instead of
# spinning. On a busy machine spinning makes a training step of a small network fifty times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
