"""The house rules that a machine can check: direction of imports, sizes, who reads the environment, declared scopes,
true tables.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from accounts.scopes import CURRENT_KEY_READ, KEY_SCOPES, ROLE_SCOPES, with_implied
from spatialflow.api import PublicAPIView, WorkspaceAPIView
from tests.support.urls import api_patterns

ROOT = settings.BASE_DIR
MAY_IMPORT = {
    "spatialflow": set(),
    "accounts": {"spatialflow"},
    "apikeys": {"spatialflow", "accounts"},
    "sso": {"spatialflow", "accounts"},
    "geofences": {"spatialflow", "accounts"},
    "dashboard": {"spatialflow", "accounts", "apikeys", "sso", "geofences"},
}
APPS = [app for app in MAY_IMPORT if (ROOT / app).is_dir()]


def modules(*folders: str) -> Iterator[tuple[str, Path, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                yield folder, path.relative_to(ROOT), ast.parse(path.read_text())


def test_imports_point_one_way():
    wrong = []
    for app, path, tree in modules(*APPS):
        for node in ast.walk(tree):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [a.name for a in getattr(node, "names", [])]
            )
            if not isinstance(node, ast.Import | ast.ImportFrom) or path == Path("spatialflow/urls.py"):
                continue
            wrong += [f"{path}: {n}" for n in names if n.split(".")[0] in set(MAY_IMPORT) - MAY_IMPORT[app] - {app}]
    assert wrong == []


def test_no_import_hides_in_a_function():
    hidden = [
        f"{path}:{node.lineno}"
        for _, path, tree in modules(*APPS)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name != "ready"
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_no_module_over_400_lines_and_no_function_over_40():
    for _, path, tree in modules(*APPS, "tests"):
        assert len((ROOT / path).read_text().splitlines()) <= 400 or path.parts[0] == "tests", path
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 40, f"{path}:{node.lineno} {node.name}"


def test_only_settings_reads_the_environment():
    readers = {
        str(path) for _, path, _ in modules(*APPS) if re.search(r"os\.environ|getenv\(", (ROOT / path).read_text())
    }
    assert readers <= {"spatialflow/settings.py", "spatialflow/wsgi.py", "spatialflow/localdb.py"}


def test_every_view_is_public_or_declares_its_scopes():
    known = with_implied(frozenset().union(*ROLE_SCOPES.values())) | {CURRENT_KEY_READ}
    for route, pattern in api_patterns():
        view = pattern.callback.view_class
        assert issubclass(view, PublicAPIView | WorkspaceAPIView), route
        if issubclass(view, WorkspaceAPIView):
            assert set(view.scopes.values()) <= known, route


def test_a_view_without_scopes_does_not_load():
    with pytest.raises(ImproperlyConfigured, match="declares no scope for DELETE, GET"):
        type(
            "Forgetful",
            (WorkspaceAPIView,),
            {"scopes": {"POST": "geofences:write"}, "get": len, "post": len, "delete": len},
        )


def test_every_role_holds_known_scopes_and_keys_only_theirs():
    assert set(ROLE_SCOPES) == {"owner", "manager", "field_worker", "member"}
    assert not any(scope.startswith(("account:", "api_keys:", "members:", "workspace:")) for scope in KEY_SCOPES)


def test_the_readmes_settings_table_is_what_settings_reads():
    source = (ROOT / "spatialflow/settings.py").read_text()
    read = set(re.findall(r'env\.[a-z]+\("([A-Z_]+)"', source))
    table = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert table == read


def test_every_function_has_types():
    for _, path, tree in modules(*APPS):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert node.returns is not None, f"{path}:{node.lineno} {node.name}"


def test_no_test_replaces_our_own_code():
    for _, path, _ in modules("tests"):
        text = (ROOT / path).read_text()
        assert not re.search(
            r"(?:patch|setattr)\(\s*[\"'](?:accounts|apikeys|sso|geofences|dashboard|spatialflow)\.", text
        ), path
