"""A valid agent configuration to start from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.config import AgentConfig

_SMALLEST: dict[str, dict[str, Any]] = {
    "vehicle": {"definition": "nissan-leaf-ze1"},
    "source": {"kind": "gateway", "path": "can.sock"},
    "identity": {
        "vehicle_id": "v-1",
        "certificate": "v.pem",
        "certificate_key": "v.key",
        "authority": "ca.pem",
        "ecu_key": "ecu.key",
        "purpose_secrets": "secrets",
    },
    "uplink": {"broker_host": "127.0.0.1", "ingest_keys": "keys.json"},
    "updates": {
        "image_url": "https://127.0.0.1/image",
        "director_url": "https://127.0.0.1/director",
        "image_root": "image.json",
        "director_root": "director.json",
        "primary_ecu": "e-1",
        "ecus": [],
    },
}


def agent_config(**sections: Mapping[str, Any]) -> AgentConfig:
    """Return the smallest valid configuration with ``sections`` changed or added."""
    names = {**_SMALLEST, **sections}
    merged = {name: {**_SMALLEST.get(name, {}), **sections.get(name, {})} for name in names}
    return msgspec.convert(
        {"state_dir": "agent", **merged}, AgentConfig, dec_hook=lambda _kind, text: Path(text)
    )
