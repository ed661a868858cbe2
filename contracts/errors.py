"""What can go wrong, as the user would say it.

A stage raises one of these and nothing else that it could have foreseen; the wiring decides about retry, dead letter or
stop. The message is one line, names the thing at fault and says what to do; it never contains a credential.
"""


class AffectstreamError(Exception):
    """A failure that the user is told about in one line."""

    exit_code = 1


class InputError(AffectstreamError):
    """The user asked for something that cannot be: a missing file, a text file named .mp4, an unknown flag value."""

    exit_code = 2


class SettingsError(InputError):
    """A setting that does not exist or a value that it cannot have."""


class ModelError(InputError):
    """A model folder with a missing, damaged or unusable file."""


class SourceError(AffectstreamError):
    """A source that cannot be opened now, or that broke while it was read."""


class StorageError(AffectstreamError):
    """The database refused: unreachable, read-only, full, or not ours."""


class StorageAwayError(StorageError):
    """The database cannot be reached now; it may come back."""


class TransportError(AffectstreamError):
    """Redis or Kafka refused: unreachable, a wrong password, too old."""


class StageError(AffectstreamError):
    """One frame that a stage could not process; the frame becomes a dead letter, the run goes on."""
