"""Semantic-Ray: a generalizable semantic field from posed pictures. The model; nothing of ROS."""

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.errors import SrayError
from sray.field import RenderConfig, RenderedView, SemanticField
from sray.frames import Frame, SourceViews
from sray.model import SemanticRay, SemanticRayConfig

__all__ = [
    "Frame",
    "RenderConfig",
    "RenderedView",
    "SemanticField",
    "SemanticRay",
    "SemanticRayConfig",
    "SourceViews",
    "SrayError",
    "load_checkpoint",
    "save_checkpoint",
]
