"""TensorFlow at its start: without chatter, since its native code writes to stderr before any setting can stop it, and
with its fast kernels."""

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from contracts.errors import ModelError


def choose_backend() -> None:
    """Sets what TensorFlow and Keras read from the environment when they are first imported, unless the user has.

    Raises ModelError where the user's choice is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # By itself TensorFlow takes oneDNN's kernels on Intel's newer processors alone; elsewhere they are faster as well.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if importlib.util.find_spec(backend) is None:
        raise ModelError(f"KERAS_BACKEND is {backend}, which is not installed: pip install {backend}, or unset it")


@contextmanager
def native_stderr_held_back() -> Iterator[None]:
    """Keeps what is written to file descriptor 2 meanwhile, and shows it only if the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
