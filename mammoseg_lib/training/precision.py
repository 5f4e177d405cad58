"""In which precision a network computes, and where."""

from __future__ import annotations

import platform

import torch


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is an accelerator where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("mps"):
        raise ValueError(
            "device 'mps' is not supported: several losses compute in float64, which it lacks; use cpu"
        )
    if name != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but there is no accelerator here")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> str:
    """The precision of that name on a device; "auto" is bfloat16 where it is computed in natively."""
    if name != "auto":
        return name
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:  # AVX512-BF16 or AMX, or a 64-bit Arm with the instructions; elsewhere it is emulated and slow
        native = device.type == "cpu" and _native_bfloat16()
    return "bfloat16" if native else "float32"


def _native_bfloat16() -> bool:
    if platform.machine().lower() in ("x86_64", "amd64"):
        return torch.cpu._is_avx512_bf16_supported()
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()
