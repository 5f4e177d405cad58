"""Training a network: `Trainer` holds its state, `fit` goes through the epochs.

trainer = Trainer(model, loss, Training(epochs=60), seed=0, device=choose_device("auto"))
history = fit(trainer, train, validation, test, checkpoint=path)

What is promised: on a CPU, with the same versions and as many threads, the same settings and seed give the
same numbers, interrupted or not. On an accelerator they give the same start, order and alterations of the
images, but not the same last digits: some of its kernels (the gradient of an upsampling, sums over pixels)
add in the order in which their threads come, and the differences grow with every step. This is not switched
off, since PyTorch has no deterministic kernel for everything that the networks here use. So a run records
its device, and a complete one is read, never trained again.
"""

from mammoseg_lib.settings import Training
from mammoseg_lib.training.loop import LAST, OutOfTimeError, fit
from mammoseg_lib.training.precision import choose_device, choose_precision
from mammoseg_lib.training.trainer import Trainer, TrainingError

__all__ = [
    "LAST",
    "OutOfTimeError",
    "Trainer",
    "Training",
    "TrainingError",
    "choose_device",
    "choose_precision",
    "fit",
]
