"""TensorFlow at its start: without chatter, since its native code writes to stderr before any setting can stop it, and
with its fast kernels."""

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from contracts.errors import AffectstreamError, ModelError

BACKENDS: Final = ("tensorflow", "jax")


def choose_backend() -> str:
    """Sets what TensorFlow and Keras read from the environment when they are first imported, unless the user has.

    Returns what Keras is to run on. Raises ModelError where that is none of `BACKENDS`, or not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # By itself TensorFlow takes oneDNN's kernels on Intel's newer processors alone; elsewhere they are faster as well.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    backend = os.environ.get("KERAS_BACKEND") or BACKENDS[0]
    if backend not in BACKENDS:
        raise ModelError(
            f"KERAS_BACKEND is {backend}: affectstream runs on {' and '.join(BACKENDS)}; set one, or unset it"
        )
    os.environ["KERAS_BACKEND"] = backend
    if importlib.util.find_spec(backend) is None:
        raise ModelError(f"KERAS_BACKEND is {backend}, which is not installed: pip install {backend}, or unset it")
    return backend


@contextmanager
def native_stderr_held_back() -> Iterator[None]:
    """Keeps what is written to file descriptor 2 meanwhile, and shows it only if the block fails unforeseen."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except (AffectstreamError, KeyboardInterrupt):  # there is no more to say
            raise
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
