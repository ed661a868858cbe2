"""What a network learns on here, and how precisely it may compute there."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import keras


def gpu() -> str | None:
    """The name of the GPU that Keras computes on; None where there is none."""
    if keras.backend.backend() == "jax":
        device = import_module("jax").devices()[0]
        return str(device.device_kind) if device.platform == "gpu" else None
    config: Any = import_module("tensorflow").config
    found = config.list_physical_devices("GPU")
    return str(config.experimental.get_device_details(found[0]).get("device_name", "GPU")) if found else None


def precision() -> str:
    """Keras's name for what networks learn in here: 16 bits on a GPU, and where the CPU has instructions for them.

    They are AVX512_BF16 and AMX; elsewhere 16 bits are far slower than 32.
    """
    try:
        processor = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        processor = ""
    return "mixed_bfloat16" if gpu() or re.search("(amx|avx512)_bf16", processor) else "float32"
