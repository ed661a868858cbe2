"""The questions of the dashboards are asked of a database that can answer them, or of none."""

import pytest

from benchmarks import dashboards
from contracts.errors import StorageError


def test_a_database_that_cannot_be_reached_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://somebody:secret@127.0.0.1:1/nothing"
    monkeypatch.setattr("sys.argv", ["dashboards", "--database", url])
    with pytest.raises(StorageError, match="cannot be reached") as said:
        dashboards.main()
    assert "secret" not in str(said.value)
