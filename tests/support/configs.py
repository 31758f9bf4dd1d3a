"""A valid agent configuration to start from."""

import json
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


def agent_toml(state_dir: str = "agent", **sections: Mapping[str, Any]) -> str:
    """Return the same as a file; text, numbers and lists are written in JSON as in TOML."""
    lines = [f"state_dir = {json.dumps(state_dir)}"]
    for name, values in _merged(sections).items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join([*lines, ""])


def agent_config(**sections: Mapping[str, Any]) -> AgentConfig:
    """Return the smallest valid configuration with ``sections`` changed or added."""
    return msgspec.convert(
        {"state_dir": "agent", **_merged(sections)},
        AgentConfig,
        dec_hook=lambda _kind, text: Path(text),
    )


def _merged(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    names = {**_SMALLEST, **sections}
    return {name: {**_SMALLEST.get(name, {}), **sections.get(name, {})} for name in names}
