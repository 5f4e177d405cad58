"""The kinds of mask that every function which takes one must take."""

from __future__ import annotations

import numpy as np
import torch

KINDS = {
    "bool": lambda m: m,
    "uint8": lambda m: m.astype(np.uint8),
    "int64": lambda m: m.astype(np.int64),
    "float32": lambda m: m.astype(np.float32),
    "float64": lambda m: m.astype(np.float64),
    "uint8 of 0 and 255": lambda m: m.astype(np.uint8) * 255,
    "float32 of 0 and 255": lambda m: m.astype(np.float32) * 255,
    "tensor": lambda m: torch.tensor(m.tolist(), dtype=torch.bool).reshape(m.shape),
    "uint8 tensor": lambda m: torch.from_numpy(m.astype(np.uint8)),
    "float tensor": lambda m: torch.from_numpy(m.astype(np.float32)).requires_grad_(),
    "bfloat16 tensor": lambda m: torch.from_numpy(m.astype(np.float32)).bfloat16(),
    "tensor of 0 and 255": lambda m: torch.from_numpy(m.astype(np.uint8) * 255),
    "flipped view": lambda m: np.ascontiguousarray(m[..., ::-1, :])[..., ::-1, :],
    "not contiguous": lambda m: np.asfortranarray(m.astype(np.int32)),
}
