"""The package manifests: read without a complaint, and naming what the code uses, no more and no less."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LIBRARIES = {"numpy": "python3-numpy", "cv2": "python3-opencv", "yaml": "python3-yaml"}
"""Imported name -> rosdep key, where the two differ."""
FROM_PIP = {"torch", "safetensors", "jaxtyping", "rosbags", "scipy", "viser"}
"""No rosdep key that works everywhere, or only needed with recordings: pip brings them (setup.py)."""
STARTED = {"ros2bag", "ros2launch", "rviz2"}
BROUGHT_ALONG = {"rosbag2_storage_default_plugins"}
"""What `ros2 bag play` needs and ros2bag does not depend on: MCAP and sqlite3."""


def manifest(folder: Path) -> tuple[Any, list[str]]:
    """The package and what catkin_pkg complains about."""
    packages = pytest.importorskip("catkin_pkg.package", reason="needs catkin_pkg; make setup")
    warnings: list[str] = []
    package = packages.parse_package(str(folder / "package.xml"), warnings=warnings)
    package.evaluate_conditions({"ROS_DISTRO": "jazzy"})
    return package, warnings


def names(package: Any, *kinds: str) -> set[str]:
    return {dependency.name for kind in kinds for dependency in getattr(package, f"{kind}_depends")}


def imported(*folders: str) -> set[str]:
    """Top-level modules that the files of these folders import, the standard library and our own left out."""
    found = set()
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"sray", "sray_ros"}


@pytest.mark.parametrize(("folder", "build_type"), [(".", "ament_python"), ("sray_interfaces", "ament_cmake")])
def test_a_manifest_is_format_3_and_reads_without_a_warning(folder: str, build_type: str) -> None:
    package, warnings = manifest(ROOT / folder)
    assert warnings == []
    assert package.package_format == 3
    assert package.get_build_type() == build_type
    assert [str(license) for license in package.licenses] == ["Apache-2.0"]


def test_the_nodes_depend_on_what_they_import_and_on_nothing_else() -> None:
    package, _ = manifest(ROOT)
    used = {LIBRARIES.get(name, name) for name in imported("sray_ros", "sray", "launch") - FROM_PIP}
    assert names(package, "exec") == used | STARTED | BROUGHT_ALONG
    assert names(package, "build") <= used, "nothing is compiled: only interfaces are build dependencies"


def test_what_the_launch_file_starts_is_what_the_manifest_says_it_starts() -> None:
    files = [ROOT / "launch" / "semantic_mapping.launch.py", *(ROOT / "sray_ros" / "bringup").glob("*.py")]
    text = "".join(file.read_text() for file in files)
    assert set(re.findall(r'package="(\w+)"', text)) == {"rviz2"}, "by name; our own package is PACKAGE"
    assert set(re.findall(r'"ros2", "(\w+)"', text)) == {"bag"}


def test_versions_and_maintainers_agree() -> None:
    ours, interfaces = (manifest(ROOT / folder)[0] for folder in (".", "sray_interfaces"))
    setup = (ROOT / "setup.py").read_text()
    for package in (ours, interfaces):
        assert f'version="{package.version}"' in setup
        assert [person.email in setup for person in package.maintainers] == [True]


def test_every_interface_file_is_generated_and_its_packages_are_dependencies() -> None:
    folder = ROOT / "sray_interfaces"
    files = [file for kind in ("msg", "srv", "action") for file in (folder / kind).glob(f"*.{kind}")]
    cmake = (folder / "CMakeLists.txt").read_text()
    assert sorted(re.findall(r'"(\w+/\w+\.\w+)"', cmake)) == sorted(str(file.relative_to(folder)) for file in files)
    foreign = set()
    for file in files:
        foreign |= set(re.findall(r"^(\w+)/\w+(?:\[\d*\])? \w+", file.read_text(), re.MULTILINE))
    found = re.search(r"DEPENDENCIES ([\w ]+)\n", cmake)
    assert found and set(found.group(1).split()) == foreign - {"sray_interfaces"}
    package, _ = manifest(folder)
    assert names(package, "build") & names(package, "exec") == (foreign - {"sray_interfaces"}) | {"action_msgs"}
