"""Some days of several cameras, made inside Postgres: what `benchmarks.history` asks its questions of.

Every camera looks at the same kind of day: hardly anybody at night, most people around noon. They stay for seconds to
minutes, one in ten with a stress episode. Observations are invented; windows, people and episodes follow from them.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

from sqlalchemy import create_engine, text

from contracts.emotions import EMOTIONS
from contracts.settings import StorageSettings
from storage import open_store
from storage.choosing import choose

RATE: Final = 5  # frames a second
STAY: Final = 60.0  # seconds for which a person is seen, about, on the average
FIRST_DAY: Final = date(2026, 1, 1)
LENGTHS: Final = (10, 60, 900)  # of windows, seconds

_ZERO: Final = "CAST(:day AS timestamp) AT TIME ZONE 'UTC'"
_TODAY: Final = f">= {_ZERO} AND {{0}} < {_ZERO} + interval '1 day'"

_RUNS: Final = f"""
INSERT INTO run
SELECT camera_id || '-' || to_char(CAST(:day AS timestamp), 'YYYYMMDD') || 'T000000-5f3a91c2', camera_id,
    'rtsp://' || camera_id, true, 1920, 1080, {_ZERO}, CASE WHEN NOT :last THEN {_ZERO} + interval '1 day' END,
    86400 * :rate, 0, 0, CASE WHEN :last THEN 'running' ELSE 'lost' END, NULL, 'yunet', 'default/ferplus'
FROM camera"""

_APPEARANCES: Final = f"""
CREATE TEMPORARY TABLE appearance ON COMMIT DROP AS
SELECT camera_id, run_id, number, run_id || '.' || number AS person_id, first_frame,
    CAST(:rate * least(900, 3 - ln(1 - random()) * (:stay - 3)) AS bigint) AS frames,
    CAST(1 + floor(random() ^ 2 * 7) AS int) AS mood, random() < 0.1 AS tense
FROM (
    SELECT *, row_number() OVER (PARTITION BY run_id ORDER BY first_frame) AS number FROM (
        SELECT camera_id, run_id,
            CAST(floor(:rate * 85000 * (random() + random() + random()) / 3) AS bigint) AS first_frame
        FROM run, generate_series(1, :people) WHERE started_at = {_ZERO}
    ) AS arrivals
) AS numbered"""

_WEIGHTS: Final = ", ".join(f"random() + CASE WHEN mood = {n} THEN 6 ELSE 0 END AS e{n}" for n in range(1, 8))
_TOTAL: Final = " + ".join(f"e{n}" for n in range(1, 8))
_SEVEN: Final = ", ".join(f"e{n} / total" for n in range(1, 8))
_NAMES: Final = ", ".join(f"'{emotion}'" for emotion in EMOTIONS)

_OBSERVATIONS: Final = f"""
INSERT INTO observation
SELECT camera_id, run_id, seq, number, {_ZERO} + seq * interval '1 second' / :rate, person_id,
    seq % 1800, number % 900, 96, 118, 0.9, {_SEVEN}, {_SEVEN},
    (ARRAY[{_NAMES}])[mood], CASE WHEN stressed THEN 0.6 ELSE 0 END + e1 / total / 3, stressed
FROM (
    SELECT *, {_TOTAL} AS total FROM (
        SELECT *, first_frame + frame AS seq, tense AND frame BETWEEN frames * 0.2 AND frames * 0.8 AS stressed,
            {_WEIGHTS}
        FROM appearance, generate_series(0, frames - 1) AS frame
    ) AS weighed
) AS summed
ORDER BY seq, camera_id, number"""

_FACES: Final = """
UPDATE run SET faces = seen.frames
FROM (SELECT run_id, sum(frames) AS frames FROM appearance GROUP BY run_id) AS seen WHERE seen.run_id = run.run_id"""

_PEOPLE: Final = f"""
INSERT INTO person
SELECT person_id, camera_id, run_id, {_ZERO} + first_frame * interval '1 second' / :rate,
    {_ZERO} + (first_frame + frames - 1) * interval '1 second' / :rate, frames, frames / CAST(:rate AS float8)
FROM appearance ORDER BY first_frame"""

_EPISODES: Final = f"""
INSERT INTO stress_episode
SELECT person_id, camera_id, run_id, min(captured_at), max(captured_at), avg(stress), max(stress)
FROM observation WHERE stressed AND captured_at {_TODAY.format("captured_at")}
GROUP BY person_id, camera_id, run_id HAVING max(captured_at) > min(captured_at) ORDER BY 4"""

_DEAD: Final = f"""
INSERT INTO dead_letter
SELECT camera_id, run_id, seq, {_ZERO} + seq * interval '1 second' / :rate, 'detector', 'the picture is empty'
FROM run, generate_series(7, 86400 * :rate, 40000) AS seq WHERE started_at = {_ZERO}"""

_PERSON_WINDOWS: Final = f"""
INSERT INTO window_stat
SELECT camera_id, run_id, person_id, :seconds, date_bin(:seconds * interval '1 second', captured_at, {_ZERO}) AS start,
    :seconds * :rate, count(*), 1, count(*) / CAST(:rate AS float8),
    {", ".join(f"avg(p_{emotion})" for emotion in EMOTIONS)}, min(dominant), count(*) / 40, avg(stress), max(stress),
    avg(CAST(stressed AS int)), avg(CAST(dominant = 'happy' AS int))
FROM observation WHERE captured_at {_TODAY.format("captured_at")}
GROUP BY camera_id, run_id, person_id, start ORDER BY start"""


def _weighted(name: str) -> str:
    return f"sum({name} * seconds_observed) / nullif(sum(seconds_observed), 0)"


_CAMERA_WINDOWS: Final = f"""
INSERT INTO window_stat
SELECT today.camera_id, today.run_id, '', :seconds, start, :seconds * :rate, coalesce(sum(observations), 0),
    count(person_id), coalesce(sum(seconds_observed), 0),
    {", ".join(_weighted(f"mean_{emotion}") for emotion in EMOTIONS)},
    mode() WITHIN GROUP (ORDER BY dominant), coalesce(sum(transitions), 0), {_weighted("stress_mean")},
    max(stress_max), {_weighted("stress_ratio")}, {_weighted("happiness_ratio")}
FROM (SELECT camera_id, run_id FROM run WHERE started_at = {_ZERO}) AS today
CROSS JOIN (
    SELECT {_ZERO} + number * :seconds * interval '1 second' AS start
    FROM generate_series(0, 86400 / :seconds - 1) AS number
) AS starts
LEFT JOIN window_stat AS person ON person.window_start = start AND person.run_id = today.run_id
    AND person.camera_id = today.camera_id AND person.window_seconds = :seconds
    AND window_start {_TODAY.format("window_start")}
GROUP BY today.camera_id, today.run_id, start ORDER BY start"""


def make(url: str, observations: int, days: int, cameras: int) -> Iterable[date]:
    """Fills an empty database with about so many observations, from FIRST_DAY on; yields each day that is done.

    The cameras are called camera-1, camera-2, …; the runs of the last day have not ended.
    """
    dates = [FIRST_DAY + timedelta(days=number) for number in range(days)]
    with open_store(StorageSettings(url=url)) as store:
        store.prepare_days(dates)
    engine = create_engine(choose(url).engine.url)
    with engine.begin() as connection:
        names = "INSERT INTO camera SELECT 'camera-' || generate_series(1, :cameras), CAST(:day AS timestamptz)"
        connection.execute(text(names), {"cameras": cameras, "day": FIRST_DAY})
    people = round(observations / (days * cameras * RATE * STAY))
    for day in dates:
        values = {"day": day, "rate": RATE, "stay": STAY, "people": people, "last": day == dates[-1]}
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL enable_nestloop = off"))  # there are no statistics yet to choose by
            for statement in (_RUNS, _APPEARANCES, _OBSERVATIONS, _FACES, _PEOPLE, _EPISODES, _DEAD):
                connection.execute(text(statement), values)
            for seconds in LENGTHS:
                connection.execute(text(_PERSON_WINDOWS), {**values, "seconds": seconds})
                connection.execute(text(_CAMERA_WINDOWS), {**values, "seconds": seconds})
        yield day
    engine.dispose()
