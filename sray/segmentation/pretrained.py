"""Models of `transformers` from a folder or a hub: safetensors only, and no code but the library's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from sray.errors import FileError, ModelError
from sray.segmentation.extra import optional

FILES = ("config.json", "preprocessor_config.json", "model*.safetensors", "model.safetensors.index.json")
"""All that is fetched from a hub. Pickled weights are not even downloaded."""


@dataclass(frozen=True)
class Pretrained:
    """A segmentation network as it was published."""

    name: str
    """The folder, or the hub's id."""
    model: nn.Module
    """In eval mode, on the CPU."""
    processor: Any
    """Makes the network's input of a picture."""
    labels: tuple[str, ...]
    """The network's names of its classes."""
    sha256: str
    """Of the weights' files: the model's identity."""


def load_pretrained(name: str | Path) -> Pretrained:
    """A semantic or universal segmentation model: SegFormer, Mask2Former, DeepLabV3+ on MobileNetV2, and alike.

    `name`: a folder with config.json, preprocessor_config.json and model.safetensors; or a hub's id, whose files are
    fetched into the hub's own cache, once. Raises FileError if something is missing, damaged or pickled, or
    the extra is not installed; ModelError if it is no such model, or weights are missing.
    """
    transformers = optional("transformers")
    folder = Path(name).expanduser() if Path(name).expanduser().is_dir() else _fetched(str(name))
    _check_files(folder)
    kind = _kind_of(transformers, folder)
    try:
        # Without torchvision it would take Pillow anyway, with it its own resampling: labels should not depend on that.
        processor = transformers.AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, backend="pil"
        )
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise FileError(
            f"{folder / 'preprocessor_config.json'} cannot be used ({_first(error)})", "the model's own"
        ) from error
    try:
        with _quiet(transformers.utils.logging):
            model, found = kind.from_pretrained(
                folder,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, TypeError, KeyError, ImportError, RuntimeError) as error:
        raise FileError(
            f"{folder} cannot be loaded ({_first(error)})", "undamaged weights that fit its config.json"
        ) from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise FileError(
            f"{folder} holds damaged weights ({_first(error)})", "whole safetensors", "Copy them again"
        ) from error
    if missing := sorted(found["missing_keys"]):
        raise ModelError(
            f"{folder} lacks {len(missing)} weights of {kind.__name__.removeprefix('AutoModelFor')}, first "
            f"{missing[0]}, which would be random",
            "all",
            "Take a checkpoint trained for semantic segmentation",
        )
    strange = [name for name, tensor in model.named_parameters() if not tensor.isfinite().all()]
    if strange:
        raise FileError(f"{folder} holds NaN or infinity in {strange[0]}", "finite weights")
    classes = model.config.id2label
    labels = tuple(str(classes[index]) for index in sorted(classes))
    return Pretrained(str(name), model.float().eval(), processor, labels, _hash(folder))


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Without the library's bar and table on the terminal: what is missing raises an error of ours."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _fetched(name: str) -> Path:
    hub = optional("huggingface_hub")
    try:
        return Path(hub.snapshot_download(name, allow_patterns=list(FILES)))
    except (OSError, ValueError) as error:
        raise FileError(
            f"{name} is no folder, and a hub does not give it ({_first(error)})",
            "a folder with config.json and model.safetensors, or the id of a model that can be reached",
            "Check the name, or copy the model here",
        ) from error


def _check_files(folder: Path) -> None:
    for needed in ("config.json", "preprocessor_config.json"):
        if not (folder / needed).is_file():
            raise FileError(f"{folder} has no {needed}", "a model's folder as save_pretrained writes it")
    if not any(folder.glob("model*.safetensors")):
        pickled = sorted(path.name for path in [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")])
        found = f"holds pickled weights only ({pickled[0]}), which are never read" if pickled else "holds no weights"
        raise FileError(
            f"{folder} {found}",
            "model.safetensors",
            "Take a revision that has it, or convert the model where you trust it",
        )


def _kind_of(transformers: Any, folder: Path) -> Any:
    """The Auto class that the model's config calls for."""
    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise FileError(
            f"{folder / 'config.json'} cannot be used ({_first(error)})", "a config that transformers knows"
        ) from error
    for kind in (transformers.AutoModelForSemanticSegmentation, transformers.AutoModelForUniversalSegmentation):
        if type(config) in kind._model_mapping:
            return kind
    raise ModelError(
        f"{folder} is a {config.model_type}, which labels no pixels",
        "a semantic or universal segmentation model, such as segformer, mask2former or mobilenet_v2",
    )


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("model*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _first(error: Exception) -> str:
    """An error's first line: the library's go on for many."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
