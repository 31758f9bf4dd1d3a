"""The template of a data protection impact assessment, filled in where the code knows the answer.

Source of the structure: GDPR 35(7); EDPB Guidelines 01/2020, 2.4.3. The words stand in ``dpia.md``.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from agent.privacy.datamap import BODIES, how_often
from telemetry.purposes import NEED_PLACE, SWITCHED, Purpose
from telemetry.seal import SMALLEST_CLASS_BYTES


def dpia(notices: Mapping[Purpose, Any]) -> str:
    """Return the page for the shipped ``notices``."""
    words = Template(Path(__file__).with_name("dpia.md").read_text())
    return words.substitute(purposes="\n".join(_purposes(notices)))


def _purposes(notices: Mapping[Purpose, Any]) -> Iterator[str]:
    yield "| purpose | how often | categories of data | a place? | lawful basis | kept |"
    yield "|---|---|---|---|---|---|"
    for purpose in BODIES:
        notice = notices[purpose]
        place = "coarse" if purpose in NEED_PLACE else "none"
        asked = "" if purpose in SWITCHED else ", asked each time"
        yield (
            f"| `{purpose}` | {how_often(purpose)} | {', '.join(notice.data_categories)} | {place} "
            f"| {notice.lawful_basis}{asked} | {notice.retention} |"
        )
    yield ""
    yield f"On the network a batch is at least {SMALLEST_CLASS_BYTES} bytes, whatever is in it."
