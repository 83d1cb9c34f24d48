"""What the audit record keeps is read in Chinese (R-I1): every action that the code writes has its name."""

from __future__ import annotations

import ast
from pathlib import Path

from yaosu.access.pages import action_name

SOURCE = Path(__file__).parents[2] / "src" / "yaosu"


def actions() -> set[str]:
    """The constant actions of every `audit.record(conn, subject, action, …)`."""
    found = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "audit.record" and len(node.args) > 2:
                action = node.args[2]
                if isinstance(action, ast.Constant) and isinstance(action.value, str):
                    found.add(action.value)
    return found


def test_every_action_of_the_record_has_a_chinese_name() -> None:
    written = actions()
    assert len(written) > 60
    assert [a for a in sorted(written) if not action_name(a)] == []


def test_an_action_without_a_name_is_shown_as_it_is() -> None:
    assert action_name("grant.accept") == "数据授权 接受"
    assert action_name("sign_in") == "登录"
    assert action_name("unheard.of") == ""
