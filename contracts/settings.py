"""Every setting, with its title, its unit and its default; strict: an unknown key is an error that names it.

Where the values come from, and which wins, is `contracts.loading`.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.emotions import EMOTIONS

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[int | None, Field(ge=1, le=36_500)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelsSettings(Section):
    """Where model files are kept and whether they may be fetched."""

    folder: Path | None = Field(None, description="folder of models; the user's cache if unset (AFFECTSTREAM_MODELS)")
    download: bool = Field(True, description="fetch a missing detector model, once")


class IngestSettings(Section):
    """How sources are read."""

    pace: Literal["max", "realtime"] = Field("max", description="how fast a recording is read")
    start: str = Field(
        "recorded",
        description="event time of a recording's first frame: 'recorded' (the container's creation time, else the "
        "file's modification time), 'now', or an ISO 8601 time with its zone",
    )
    stall_seconds: Seconds = Field(10.0, gt=0, description="a live source without a frame for so long is reconnected")
    open_timeout: Seconds = Field(10.0, gt=0, description="seconds to wait for a live source to answer")
    reconnect_first: Seconds = Field(1.0, gt=0, description="seconds before the first reconnection; doubles each time")
    reconnect_max: Seconds = Field(60.0, gt=0, description="the longest wait between reconnections, in seconds")
    attempts: int = Field(
        0, ge=0, description="give a live source up after so many failed connections in a row; 0 means never"
    )
    in_flight: int = Field(32, ge=1, description="frames of one recording that are on their way at once")


class DetectorSettings(Section):
    """How faces are found."""

    name: Literal["auto", "yunet", "haar"] = Field("auto", description="auto takes yunet where its model can be had")
    working_width: int = Field(480, ge=64, description="pictures wider than this are shrunk for detection, in pixels")
    min_score: Share = Field(0.7, description="faces below this score are ignored (yunet)")
    min_face: int = Field(16, ge=8, description="smallest face side that is looked at, in source pixels")
    workers: int = Field(2, ge=1, le=64, description="detectors that run side by side")


Precision = Literal["auto", "float32", "bfloat16"]


class ClassifierSettings(Section):
    """Which model reads the faces."""

    model: str = Field("default", description="a model's name, or the folder that holds it")
    head: str | None = Field(None, description="which of the model's heads to use; the card's default if unset")
    batch_size: int = Field(64, ge=1, le=1024, description="the largest batch, in faces")
    runtime: Literal["auto", "openvino", "tensorflow", "jax"] = Field(
        "auto", description="what runs the model; auto takes TensorFlow on a GPU, else OpenVINO where the model has it"
    )
    precision: Precision = Field(
        "auto", description="what the network computes in; auto takes 16 bits where the processor is faster at that"
    )


class AggregatorSettings(Section):
    """How faces become people, stress and windows."""

    windows: tuple[Annotated[int, Field(ge=1)], ...] = Field((10, 60, 900), description="window lengths, in seconds")
    smoothing: Seconds = Field(1.0, description="time constant of the smoothed probabilities")
    hold: Seconds = Field(1.0, gt=0, description="the longest time that one observation stands for")
    lost_after: Seconds = Field(1.0, description="a face lost for less than this keeps its person")
    min_hits: int = Field(3, ge=1, description="observations before a face counts as a person")
    stress_weights: dict[str, Weight] = Field(
        {"angry": 1.0, "disgust": 1.0, "fear": 1.0, "sad": 1.0},
        description="weight of each emotion in the stress score",
    )
    stress_smoothing: Seconds = Field(3.0, description="time constant of the stress score")
    stress_on: Share = Field(0.5, description="stressed from the moment that the score has been this high …")
    stress_on_after: Seconds = Field(2.0, description="… for so long")
    stress_off: Share = Field(0.35, description="no longer stressed when the score falls to this")

    @model_validator(mode="after")
    def _consistent(self) -> "AggregatorSettings":
        if unknown := sorted(set(self.stress_weights) - set(EMOTIONS)):
            raise ValueError(f"stress_weights names no emotion: {', '.join(unknown)} (there are {', '.join(EMOTIONS)})")
        if self.stress_off > self.stress_on:
            raise ValueError("stress_off must not be above stress_on")
        if len(set(self.windows)) != len(self.windows) or not self.windows:
            raise ValueError("windows must name at least one length, each once")
        return self


class StorageSettings(Section):
    """Where the rows go."""

    url: str = Field("sqlite:///affectstream.db", description="SQLAlchemy URL: sqlite:///FILE or postgresql://…")
    batch_rows: int = Field(2000, ge=1, description="rows written in one transaction, at most about")
    batch_seconds: Seconds = Field(1.0, gt=0, description="rows wait for company no longer than this")


class RedisSettings(Section):
    """The streams between ingest, detectors and classifiers (distributed mode)."""

    url: str = Field("redis://localhost:6379/0", description="redis:// or rediss:// URL, with user and password if any")
    prefix: str = Field("affectstream", description="beginning of all keys")
    shards: int = Field(4, ge=1, le=1024, description="streams that the cameras are spread over; the same everywhere")
    backlog: int = Field(128, ge=1, description="frames of one shard that may wait: ingest holds back beyond")
    jpeg_quality: int = Field(
        90, ge=30, le=100, description="of the pictures between processes; a camera's own JPEG stays"
    )
    attempts: int = Field(3, ge=1, description="tries before a frame becomes a dead letter")
    take_over_after: Seconds = Field(
        10.0, gt=0, description="what a worker has held for so long without an answer goes to another"
    )
    keep_dead: int = Field(50, ge=0, description="dead letters of one shard whose payload is kept for a retry")


class KafkaSettings(Section):
    """The topic between classifiers and aggregators (distributed mode)."""

    brokers: str = Field("localhost:9092", description="HOST:PORT, several separated by commas")
    topic: str = Field("affectstream-emotions", description="name of the topic, keyed by camera")
    partitions: int = Field(8, ge=1, description="partitions, where the topic has yet to be made")
    replication: int = Field(1, ge=1, description="replicas, where the topic has yet to be made")
    group: str = Field("affectstream-aggregate", description="consumer group of the aggregators")
    batch: int = Field(200, ge=1, description="messages that become one transaction, at most")
    batch_seconds: Seconds = Field(0.2, gt=0, description="messages wait for company no longer than this")
    stuck_after: Seconds = Field(
        60.0, gt=0, description="an aggregator that consumes nothing for so long while there is lag ends itself"
    )


class WorkerSettings(Section):
    """What all workers of the distributed mode share."""

    address: str = Field("127.0.0.1", description="where health and metrics are served")
    port: int = Field(0, ge=0, le=65535, description="port for health and metrics; 0 takes a free one and says which")
    batch_wait: Seconds = Field(0.02, description="the classifier waits so long for a fuller batch")
    lease: Seconds = Field(15.0, gt=0, description="a camera of an ingest worker that died is taken over after this")


class PrivacySettings(Section):
    """What is kept about people."""

    level: Literal["pseudonymous", "aggregate"] = Field(
        "pseudonymous", description="aggregate: statistics of whole cameras only, nothing about any one person"
    )
    pictures: bool = Field(True, description="the live page shows pictures; never with level aggregate")

    @property
    def aggregate(self) -> bool:
        """Whether nothing may be kept about any one person."""
        return self.level == "aggregate"

    @property
    def show_pictures(self) -> bool:
        """Whether anybody may look at the pictures."""
        return self.pictures and not self.aggregate


class RetentionSettings(Section):
    """How many days rows are kept by `affectstream retain`; for ever where unset."""

    observation: Days = Field(None, examples=[30], description="faces in frames")
    window_stat: Days = Field(None, examples=[30], description="windows, of people and of cameras")
    person: Days = Field(
        None, examples=[30], description="people, with their windows and episodes, after they were last seen"
    )
    stress_episode: Days = Field(None, examples=[30], description="stress episodes")
    dead_letter: Days = Field(None, examples=[30], description="frames that could not be processed")
    run: Days = Field(None, examples=[30], description="connections and replays")


class LiveSettings(Section):
    """The live page and the REST API."""

    address: str = Field("127.0.0.1", description="where they are served; any other than loopback wants a token")
    port: int = Field(8350, ge=0, le=65535, description="port; 0 takes a free one and says which")
    token: str | None = Field(None, min_length=16, description="what a viewer must show; none on loopback if unset")


class Settings(Section):
    """All settings. Each section is a table of affectstream.toml."""

    models: ModelsSettings = ModelsSettings()
    ingest: IngestSettings = IngestSettings()
    detector: DetectorSettings = DetectorSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    aggregator: AggregatorSettings = AggregatorSettings()
    storage: StorageSettings = StorageSettings()
    privacy: PrivacySettings = PrivacySettings()
    retention: RetentionSettings = RetentionSettings()
    live: LiveSettings = LiveSettings()
    redis: RedisSettings = RedisSettings()
    kafka: KafkaSettings = KafkaSettings()
    worker: WorkerSettings = WorkerSettings()
