"""Training a network: `Trainer` holds its state, `fit` goes through the epochs.

trainer = Trainer(model, loss, Training(epochs=60), seed=0, device=choose_device("auto"))
history = fit(trainer, train, validation, test, checkpoint=path)
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
