"""Makes the README's picture from a real run: python docs/make_pictures.py (a minute; writes docs/pictures)."""

import re
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from classifier import open_classifier
from contracts.settings import Settings
from detector import open_detectors
from ingest import open_source
from pipeline.embedded import Embedded
from pipeline.summary import show
from storage import open_store

PICTURES = Path(__file__).parent / "pictures"
# Rich's own template loads its font from the web; a picture in a repository should not.
TEMPLATE = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def main() -> None:
    settings = Settings()
    console = Console(record=True, width=96, force_terminal=True, color_system="truecolor")
    with tempfile.TemporaryDirectory() as folder:
        storage = settings.storage.model_copy(update={"url": f"{folder}/affectstream.db"})
        store = open_store(storage)
        classifier = open_classifier(settings.classifier, settings.models)
        detectors = open_detectors(settings.detector, settings.models, classifier.crop, note=print)
        source = open_source("demo", camera_id=None, settings=settings.ingest)
        embedded = Embedded([source], detectors, classifier, store, settings)
        embedded.run()
        runs = [progress.run for progress in embedded.runs]
        show(store, runs, wall_seconds=embedded.seconds, anonymous=False, console=console, place="affectstream.db")
        store.close()
    console.save_svg(str(PICTURES / "summary.svg"), title="affectstream run demo", code_format=TEMPLATE)


if __name__ == "__main__":
    main()
