"""What a training keeps in its folder so that it can be stopped at any time and go on as if it had not been.

After each epoch: the network, what a Keras file leaves out (the optimizer's variables with the averaged weights, the
state of the dropouts' chance), and where the training is. The
last is written last, in one step, and names the files that belong to it: whatever stops it, a whole set is left.
"""

import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from classifier.recipe import Recipe
from contracts.errors import InputError

DAMAGED: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What is raised by archives that are missing, cut off or altered."""
RUN_FILE: Final = "run.json"
STATE_FILE: Final = "state.json"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a training was told."""

    recipe: Recipe
    data: str  # path of the data set
    command: str
    teachers: tuple[str, ...] = ()  # folders of their models
    start: str | None = None  # folder of the model whose weights the training starts with; at random without
    made_with: dict[str, str] = {}  # package -> version
    contents: str = ""  # digest of the data set's pictures and labels


class State(msgspec.Struct, kw_only=True):
    """Where a training is."""

    epoch: int = 0  # done, over all phases
    phase: int = 0
    phase_began: int = 0  # the epoch that the phase began after
    best: float = -1.0  # the best held-out accuracy of this phase …
    best_epoch: int = 0  # … and its epoch
    reduced_epoch: int = 0  # the rate was last reduced after this one
    stopped: bool = False  # the phase is over before its time
    seconds: float = 0.0
    history: list[dict[str, int | float]] = []


def write_run(folder: Path, run: Run) -> None:
    """Writes `run.json`."""
    (folder / RUN_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n")


def read_run(folder: Path) -> Run:
    """Reads `run.json`. Raises InputError where the folder holds no training, or one of another version's recipe."""
    try:
        return msgspec.json.decode((folder / RUN_FILE).read_bytes(), type=Run)
    except OSError:
        raise InputError(f"no training in {folder}: {RUN_FILE} is missing") from None
    except msgspec.ValidationError as error:
        raise InputError(f"{folder / RUN_FILE} is not what this version of affectstream writes: {error}") from None
    except msgspec.DecodeError as error:
        raise InputError(f"{folder / RUN_FILE} is damaged: {error}") from None


class Checkpoints:
    """The folder `checkpoint` of a training."""

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder / "checkpoint"

    def __bool__(self) -> bool:
        """Whether there is something to go on from."""
        return (self._folder / STATE_FILE).is_file()

    def save(self, state: State, network: Any, optimizer: Any) -> None:
        """Keeps the state after an epoch, and the network of the best epoch beside it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        network.save(self._network(state.epoch))
        np.savez(self._rest(state.epoch), *[np.asarray(variable) for variable in _rest(network, optimizer)])
        fresh = self._folder / f"{STATE_FILE}.new"
        fresh.write_bytes(msgspec.json.encode(state))
        fresh.replace(self._folder / STATE_FILE)
        needed = {self._network(state.epoch), self._rest(state.epoch), self._network(state.best_epoch)}
        for file in self._folder.glob("epoch-*"):
            if file not in needed:
                file.unlink()

    def state(self) -> State:
        """Where the training is. Raises InputError where the file is damaged."""
        try:
            return msgspec.json.decode((self._folder / STATE_FILE).read_bytes(), type=State)
        except (OSError, msgspec.DecodeError) as error:
            raise InputError(f"{self._folder / STATE_FILE} is damaged: {error}") from None

    def network(self, epoch: int) -> Any:
        """The network after an epoch that was kept."""
        import keras

        try:
            return keras.models.load_model(self._network(epoch), compile=False)
        except DAMAGED as error:
            raise InputError(f"the checkpoint {self._network(epoch)} is damaged: {error}") from None

    def restore(self, state: State, network: Any, optimizer: Any) -> None:
        """Gives a network of `network` and its built optimizer the rest of what they had."""
        try:
            with np.load(self._rest(state.epoch)) as arrays:
                kept: Mapping[str, Any] = dict(arrays)
        except DAMAGED as error:
            raise InputError(f"the checkpoint {self._rest(state.epoch)} is damaged: {error}") from None
        variables = _rest(network, optimizer)
        if len(kept) != len(variables):
            raise InputError(f"the checkpoint {self._rest(state.epoch)} is of another optimizer")
        for place, variable in enumerate(variables):
            variable.assign(kept[f"arr_{place}"])

    def remove(self) -> None:
        """The training is over."""
        states = [self._folder / STATE_FILE, self._folder / f"{STATE_FILE}.new"]  # first: what they name is there then
        for file in [*states, *self._folder.glob("epoch-*")]:
            file.unlink(missing_ok=True)
        with suppress(OSError):  # no folder, or something of the user's in it
            self._folder.rmdir()

    def _network(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:04}.keras"

    def _rest(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:04}.npz"


def _rest(network: Any, optimizer: Any) -> list[Any]:
    weights = {id(variable) for variable in network.weights}
    chance = [variable for variable in network.variables if id(variable) not in weights]
    return [*optimizer.variables, *chance]
