"""`affectstream classify`: the worker that reads emotions."""

from typing import Annotated

import typer

from pipeline.commands import Context


def classify(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Option(help="Emotion model: a name or a folder.", show_default="default")
    ] = None,
) -> None:
    """Classify the faces that wait in Redis and publish the result to Kafka. Any number of these share the work."""
    from pipeline.topic import TopicPublisher
    from pipeline.workers.classify import classify as work

    owner: Context = context.obj
    settings = owner.settings({"classifier.model": model})
    work(settings, TopicPublisher(settings.kafka, short_lived=settings.privacy.aggregate))
