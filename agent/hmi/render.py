"""Templates and static files: read once, kept in memory, never looked up again."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from jinja2 import DictLoader, Environment, StrictUndefined

from agent.hmi.pages.screen import Frame
from agent.hmi.texts import Texts

_HERE = Path(__file__).parent
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file of ``static/`` and its media type."""

    content: bytes
    media_type: str


def load_static(folder: Path = _HERE / "static") -> dict[str, StaticFile]:
    """Read every file of ``folder``, by name."""
    return {
        path.name: StaticFile(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(folder.iterdir())
    }


class Renderer:
    """Frames in, HTML out. ``version`` in the address of static files makes them cacheable."""

    def __init__(self, static: dict[str, StaticFile], folder: Path = _HERE / "templates") -> None:
        sources = {path.name: path.read_text("utf-8") for path in folder.glob("*.html")}
        self._environment = Environment(
            loader=DictLoader(sources),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        for name in sources:
            self._environment.get_template(name)  # a broken template stops the start, not a drive
        content = b"".join(one.content for one in static.values())
        self._version = hashlib.sha256(content).hexdigest()[:12]

    def page(self, frame: Frame, texts: Texts) -> str:
        """Return a whole page."""
        return self._render("page.html", frame, texts)

    def fragment(self, frame: Frame, texts: Texts) -> str:
        """Return the changing part of the page alone, for a page that is already open."""
        return self._render("frame.html", frame, texts)

    def _render(self, name: str, frame: Frame, texts: Texts) -> str:
        template = self._environment.get_template(name)
        return template.render(
            frame=frame, view=frame.screen.view, texts=texts, version=self._version
        )
