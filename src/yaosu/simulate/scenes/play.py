"""Plays all scenes side by side and tells what pages they lead to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import ascii_letters
from typing import Any

import structlog

from yaosu import yamls
from yaosu.simulate.client import DemoError
from yaosu.simulate.scenes import acting, desk, mismatch, named, quality, recall, sharing, shelf, systems
from yaosu.simulate.scenes.stage import OtherMissingError, Stage
from yaosu.simulate.scenes.world import World

log = structlog.get_logger("yaosu.demo")


@dataclass(frozen=True, slots=True)
class Scene:
    """`days`: how long before the end it begins. Scenes of a later `act` wait for the earlier ones."""

    key: str
    play: Callable[[Stage], Awaitable[None]]
    days: float
    act: int = 1
    between: bool = False
    """Needs the other system: when that does not keep up, the story is left out and the demo starts all the same."""


SCENES = (
    Scene("exception", mismatch.exception, 3),
    Scene("movements", mismatch.movements, 4),
    Scene("correction", mismatch.correction, 5),
    Scene("logistics", acting.logistics, 6),
    Scene("chain", acting.chain, 2),
    Scene("direct", acting.direct, 2),
    Scene("group", acting.medical_group, 2),
    Scene("grants", sharing.grants, 12),
    Scene("uncoded", shelf.uncoded, 9),
    Scene("split", shelf.split, 2),
    Scene("realname", named.real_name, 3),
    Scene("narcotics", named.narcotics, 2),
    Scene("recall", recall.recalled, 20),
    Scene("stopped", recall.stopped, 8),
    Scene("clue", quality.clue, 1),
    Scene("papers", quality.papers, 1),
    Scene("files", desk.files, 1),
    Scene("capture", desk.capture, 1),
    Scene("epcis", desk.epcis, 2),
    Scene("his", desk.his, 1),
    Scene("insured", systems.insured, 0.2, 2, between=True),
    Scene("waiting", systems.waiting, 0.2, 2, between=True),
    Scene("top", systems.top, 2, 1, between=True),
    Scene("coordination", systems.coordination, 2, 2, between=True),
    Scene("feed", systems.feed, 1, 2, between=True),
    # what looks at all of it, and what is told of all of it
    Scene("messages", sharing.messages, 1, 0),
    Scene("check", quality.check, 0.01, 2),
)
"""The keys are those of `demo/stories.yaml`."""
LETTERS = ascii_letters[26:] + ascii_letters[:26]


@cache
def texts() -> list[dict[str, Any]]:
    """The stories as they are told, in their order."""
    text = (resources.files("yaosu.simulate") / "demo" / "stories.yaml").read_text("utf-8")
    found: list[dict[str, Any]] = yamls.read(text)["stories"]
    return found


async def play_scenes(world: World) -> dict[str, dict[str, str]]:
    """Links of every scene by its key. After an interruption a scene that cannot be taken up is left out."""
    found: dict[str, dict[str, str]] = {}

    async def one(scene: Scene) -> None:
        stage = Stage(world, scene.key, LETTERS[SCENES.index(scene)], scene.days)
        try:
            await scene.play(stage)
        except OtherMissingError:
            return
        except DemoError as error:
            # a call may have been done without its answer being written down; then it is refused as a repetition
            if not world.journal.resumed and not scene.between:
                raise
            log.warning("scene_left_out", scene=scene.key, why=str(error)[:2000])
            return
        found[scene.key] = stage.links

    try:
        for act in sorted({s.act for s in SCENES}):
            try:
                async with asyncio.TaskGroup() as group:
                    for scene in SCENES:
                        if scene.act == act:
                            group.create_task(one(scene))
            except BaseExceptionGroup as failed:
                raise failed.exceptions[0] from None
    finally:
        await world.sign_out()
    return found
