"""`yaosu dispense`: real-name sales, narcotics and split packs from the command line."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import typer

PARTS = (
    ("realname", "realname_commands"),
    ("narcotics", "narcotics_commands"),
    ("split", "split_commands"),
)
"""Name of the command and the module of this room whose `app` it is."""

app = typer.Typer(help="Sale and use 零售与使用: real name, narcotics, split packs.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Sale and use 零售与使用."""


for _command, _module in PARTS:
    if find_spec(f"yaosu.dispensing.{_module}") is not None:
        app.add_typer(import_module(f"yaosu.dispensing.{_module}").app, name=_command)
