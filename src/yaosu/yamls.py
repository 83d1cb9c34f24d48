"""Our own YAML files. A start reads half a megabyte of them: the library's C parser takes a sixth of the time."""

from __future__ import annotations

from typing import Any

import yaml

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # built without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]


def read(text: str) -> Any:
    """The content; plain values only, as with `yaml.safe_load`."""
    return yaml.load(text, Loader=SafeLoader)
