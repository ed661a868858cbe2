"""When the database refuses, the user gets one line that says what to do, and what was stored stays."""

import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from contracts.errors import SettingsError, StorageError
from contracts.rows import Rows
from contracts.settings import StorageSettings
from storage import sqlite
from storage.choosing import choose
from storage.store import Store
from tests.services.disks import small_disk, unwritable
from tests.services.postgres import PASSWORD
from tests.storage.samples import everything, observation, opened, run, select, some_rows


def refusal(url: str) -> str:
    """What the user is told."""
    with pytest.raises(StorageError) as caught:
        opened(url)
    message = str(caught.value)
    assert "\n" not in message
    assert PASSWORD not in message
    return message


def count(file: Path) -> int:
    return int(select(f"sqlite:///{file}", "SELECT count(*) FROM observation")[0][0])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", [b"time,emotion\n", b"\x00" * 5000, b"hello " * 2000, b"SQLite format 3\x00" * 99])
def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "notes.csv"
    file.write_bytes(content)
    message = refusal(str(file))
    assert str(file) in message
    assert "is not a SQLite database; choose another file" in message or "is damaged" in message
    assert file.read_bytes() == content


def test_a_damaged_database_is_said_to_be_damaged(tmp_path: Path) -> None:
    file = tmp_path / "my data.db"
    with opened(str(file)) as store:
        store.write(some_rows())
    content = bytearray(file.read_bytes())
    content[100:4096] = b"\xff" * 3996
    file.write_bytes(content)
    said = refusal(str(file))
    assert "is damaged; restore a copy" in said
    assert f"sqlite3 '{file}' .recover" in said  # to be pasted


def test_what_a_killed_program_left_half_written_is_undone_and_the_rest_is_there(tmp_path: Path) -> None:
    whole, left = tmp_path / "my data.db", tmp_path / "left.db"
    with opened(str(whole)) as store:
        store.start_run(run())
        store.write(some_rows())
    before = count(whole)
    with closing(sqlite3.connect(whole, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")  # so that it writes before it is done
        writer.execute("BEGIN IMMEDIATE")
        for table in ("observation", "window_stat", "camera"):
            writer.execute(f"DELETE FROM {table}")
        writer.execute("CREATE TABLE half AS SELECT hex(randomblob(5000)) FROM run, (VALUES (1), (2), (3), (4))")
        for end in ("", "-journal"):
            shutil.copy(f"{whole}{end}", f"{left}{end}")
        writer.execute("ROLLBACK")
    opened(str(left)).close()
    assert count(left) == before
    assert names(tmp_path) == ["left.db", "my data.db"]


def test_a_read_only_file_is_refused_and_stays_readable(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with opened(str(file)) as store:
        store.write(some_rows())
    with unwritable(file):
        assert f"{file} is read-only; make it writable" in refusal(str(file))
        assert count(file) == 50


def test_a_file_in_a_read_only_folder_is_refused_and_stays_readable(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        file = folder / "a.db"
        with opened(str(file)) as store:
            store.write(some_rows())
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        assert "is read-only; make it writable" in refusal(str(file))
        assert "is read-only; make it writable" in refusal(str(folder / "new.db"))
        assert count(file) == 50


def test_a_database_that_becomes_read_only_in_mid_run_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder, opened(str(folder / "a.db")) as store:
        store.write(some_rows())
        store._backend.engine.dispose()
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        with pytest.raises(StorageError, match=r"is read-only|cannot be opened"):
            store.write(some_rows(50))


def test_a_full_disk_says_how_to_go_on_and_keeps_what_was_stored(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        file, batches = folder / "a.db", 0

        def fill() -> None:
            nonlocal batches
            while True:
                store.write(some_rows(batches * 200, observations=200))
                batches += 1

        with opened(str(file)) as store:
            with pytest.raises(StorageError, match="is full; free some space and start again") as caught:
                fill()
            assert "\n" not in str(caught.value)
            assert batches > 2
            assert store.runs() == []
        assert count(file) == batches * 200
        # With space again, it goes on where it stood.
        subprocess.run(["mount", "-o", "remount,size=8m", folder], check=True)
        with opened(str(file)) as store:
            for batch in range(batches + 1):
                store.write(some_rows(batch * 200, observations=200))
        assert count(file) == (batches + 1) * 200


def test_a_disk_that_is_full_from_the_start_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as folder:
        assert "is full; free some space" in refusal(str(folder / "a.db"))


def test_a_locked_database_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    file = tmp_path / "a.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "is locked by another program" in refusal(str(file))  # there are no tables yet
    with opened(str(file)) as store, closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="is locked by another program"):
            store.write(some_rows())
        assert store.runs() == []  # readers are not locked out
        other.execute("COMMIT")
        store.write(some_rows())
    assert count(file) == 50


@pytest.mark.parametrize("in_use", [True, False])
def test_who_reads_does_not_wait_for_who_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_use: bool) -> None:
    file = tmp_path / "a.db"
    with opened(str(file)) as store:
        store.write(some_rows())
        if not in_use:
            store.close()  # a file at rest, without a write-ahead log
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            with opened(str(file)) as reader:
                assert len(reader.people(["door-1"])) == 1
                assert time.monotonic() - started < 5
                monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
                if not in_use:
                    with pytest.raises(StorageError, match="is locked by another program"):
                        reader.write(some_rows(50))
                other.execute("COMMIT")
                reader.write(some_rows(50))
    assert count(file) == 100


def test_who_only_reads_gets_along_with_a_read_only_file(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with opened(str(file)) as store:
        store.write(some_rows())
    with unwritable(file), Store(StorageSettings(url=str(file)), reading=True) as reader:
        assert len(reader.people(["door-1"])) == 1
        with pytest.raises(StorageError, match="is read-only; make it and its folder writable"):
            reader.write(some_rows(50))
    with small_disk(tmp_path / "disk") as folder:
        shutil.copy(file, folder)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        with Store(StorageSettings(url=str(folder / "a.db")), reading=True) as reader:
            assert len(reader.people(["door-1"])) == 1


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert f"create it: mkdir -p {tmp_path / 'none'}" in refusal(f"sqlite:///{tmp_path}/none/a.db")
    assert f"create it: mkdir -p '{tmp_path / 'my data'}'" in refusal(f"{tmp_path}/my data/a.db")  # to be pasted
    assert "is a folder" in refusal(str(tmp_path))


def test_a_bare_path_is_a_sqlite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("affectstream.db", "data/x.sqlite", "sqlite:///y.db", "100%?.db"):
        with opened(name) as store:
            store.write(some_rows())
            assert store.place == name.removeprefix("sqlite:///")
        assert count(tmp_path / store.place) == 50
    assert names(tmp_path) == ["100%?.db", "affectstream.db", "data", "y.db"]


def test_a_database_in_memory_works_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with opened("sqlite://") as store:
        store.start_run(run())
        assert len(store.runs()) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:secret@host/x", "postgresql+asyncpg://me:secret@h/x", "", "sqlite://a.db", "x://a:secret@:b/",
        "postgresql://me:top@secret@127.0.0.1/x",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_meant_is_a_setting_at_fault(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        opened(url)
    assert "secret" not in str(caught.value)
    assert "storage.url" in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_every_spelling_of_postgres_is_understood(scheme: str) -> None:
    engine = choose(f"{scheme}://me@host/x").engine
    assert (engine.dialect.name, engine.dialect.driver) == ("postgresql", "psycopg2")


def test_nobody_at_the_address_is_said_at_once() -> None:
    started = time.monotonic()
    message = refusal(f"postgresql://me:{PASSWORD}@127.0.0.1:1/x?password={PASSWORD}")
    assert message.startswith("postgresql://me:***@127.0.0.1:1/x cannot be reached; check that the server runs")
    assert time.monotonic() - started < 5


def test_a_wrong_password_user_or_database_is_named(postgres: str) -> None:
    url = make_url(postgres)
    wrong = url.set(password="mistaken").render_as_string(hide_password=False)
    assert "wrong user or password" in refusal(wrong)
    assert "mistaken" not in refusal(wrong)
    stranger = url.set(username="stranger").render_as_string(hide_password=False)
    assert "wrong user or password" in refusal(stranger)
    missing = url.set(database="missing").render_as_string(hide_password=False)
    assert "the database does not exist; create it: createdb missing" in refusal(missing)


def test_a_user_without_rights_is_told_how_to_get_them(postgres_url: str) -> None:
    engine = create_engine(choose(postgres_url).engine.url)
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS guest"))
        connection.execute(text(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'"))
    engine.dispose()
    guest = make_url(postgres_url).set(username="guest")
    message = refusal(guest.render_as_string(hide_password=False))
    assert "as the owner of the database: affectstream db roles --apply, then GRANT affectstream_writer TO" in message
    opened(postgres_url).close()
    assert refusal(guest.render_as_string(hide_password=False)) == message


def terminate(url: str) -> None:
    """The administrator ends all connections of the store."""
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'affectstream' "
    select(url, end + "AND datname = current_database()")


def test_a_connection_that_is_ended_between_writes_is_made_anew(postgres_url: str) -> None:
    with opened(postgres_url) as store:
        store.write(some_rows())
        terminate(postgres_url)
        store.write(some_rows(50))
        assert select(postgres_url, "SELECT count(*) FROM observation") == [(100,)]


def let_write(url: str, *, yes: bool) -> None:
    """The administrator says so for all connections to come."""
    where = make_url(url).set(drivername="postgresql+psycopg2")
    options = {"options": "-c default_transaction_read_only=off"}
    engine = create_engine(where, isolation_level="AUTOCOMMIT", connect_args=options)
    with engine.connect() as connection:
        change = f"ALTER DATABASE {where.database} SET default_transaction_read_only = {'off' if yes else 'on'}"
        connection.execute(text(change))
    engine.dispose()


def test_a_server_that_lets_us_write_again_is_written_to(postgres_url: str) -> None:
    with opened(postgres_url) as store:
        let_write(postgres_url, yes=False)
        try:
            terminate(postgres_url)
            with pytest.raises(StorageError, match="only lets us read; give the address of the primary"):
                store.write(some_rows())
        finally:
            let_write(postgres_url, yes=True)
        store.write(some_rows())  # not by the connection that was opened in between
        assert select(postgres_url, "SELECT count(*) FROM observation") == [(50,)]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_connection_that_is_ended_in_mid_write_loses_and_doubles_nothing(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with opened(postgres_url) as store:
        backend = store._backend
        insert, endings = backend.insert_observations, [moment]

        def interrupted(*arguments: Any) -> None:
            if endings == ["before"]:
                terminate(postgres_url)  # so that it is COPY that finds the connection gone
                endings.clear()
            insert(*arguments)
            if endings == ["after"]:
                terminate(postgres_url)
                endings.clear()

        monkeypatch.setattr(backend, "insert_observations", interrupted)
        store.write(some_rows())
    found = everything(postgres_url)
    assert [len(found[name]) for name in ("observation", "window_stat", "person")] == [50, 3, 1]


def test_a_server_that_stays_away_is_given_up_with_one_line(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(postgres_url) as store:
        gone = create_engine(store._backend.engine.url.set(port=1))
        monkeypatch.setattr(store, "_writer", gone)
        with pytest.raises(StorageError, match="cannot be reached; check that the server runs"):
            store.start_run(run())


def test_threads_may_share_a_store(url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with opened(url) as store, ThreadPoolExecutor(4) as pool:
        batches = [Rows(observations=[observation(n * 10 + k) for k in range(10)]) for n in range(20)]
        list(pool.map(store.write, batches))
    assert select(url, "SELECT count(*) FROM observation") == [(200,)]


def test_a_copy_of_a_closed_database_is_whole(tmp_path: Path) -> None:
    with opened(str(tmp_path / "a.db")) as store:
        store.write(some_rows())
    assert names(tmp_path) == ["a.db"]
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    assert count(tmp_path / "b.db") == 50


def test_a_postgres_that_is_too_old_is_refused(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.postgres.OLDEST", (99,))
    assert "is too old; affectstream needs 99 or later" in refusal(postgres_url)
