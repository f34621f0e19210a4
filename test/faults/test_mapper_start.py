"""What keeps the node from starting or from being configured: named, and it can be mended where it stands."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from rig.listener import Listener
from rig.mapper import ACTIVE, INACTIVE, UNCONFIGURED, MapperProcess

from sray.frames import Frame

pytestmark = pytest.mark.ros


@pytest.mark.fault("a checkpoint that is damaged or not there, at configure", code="BAD_FILE",
                   says="log and diagnostics: the file", recovery="set model.path, configure again")  # fmt: skip
@pytest.mark.fault("a model.device that this machine does not have", code="MODEL_MISMATCH",
                   says="log and diagnostics: the device, and which are known",
                   recovery="set model.device, configure again")  # fmt: skip
@pytest.mark.shows("model.path", "model.device")
def test_a_model_that_cannot_be_had_is_named_and_a_good_one_then_configures(
    listener: Listener, tmp_path: Path, model_file: Path, frames: list[Frame]
) -> None:
    corrupt, missing, foreign = (tmp_path / f"{name}.safetensors" for name in ("corrupt", "missing", "foreign"))
    corrupt.write_bytes(model_file.read_bytes()[:-1000])
    foreign.write_bytes(b"\0" * 1000)
    settings = {"keyframes.min_sharpness": 0.0, "render.min_opacity": 0.0, "render.quality": "fast"}
    mapper = MapperProcess(listener, **{"model.path": corrupt}, **settings)
    for path, device, words in (
        (corrupt, "cpu", f"BAD_FILE: {corrupt} cannot be read"),
        (missing, "cpu", f"BAD_FILE: {missing} does not exist"),
        (foreign, "cpu", f"BAD_FILE: {foreign} "),
        (model_file, "cuda:77", "MODEL_MISMATCH: model.device is 'cuda:77'"),
        (model_file, "toaster", "MODEL_MISMATCH: model.device is 'toaster'"),
    ):
        assert mapper.set(model__path=str(path), model__device=device) == ""
        assert not mapper.configure()
        assert mapper.state == UNCONFIGURED
        assert mapper.said(words)
        assert mapper.logged(f"cannot configure: {words}"), mapper.lines
    assert mapper.set(model__device="cpu") == ""
    assert mapper.configure()
    assert mapper.state == INACTIVE
    assert mapper.activate()
    assert mapper.state == ACTIVE
    assert mapper.renders(frames[:3], 60.0)
    listener.end(mapper.process, signal.SIGTERM)


@pytest.mark.fault("nonsense in a parameter on the command line", code="none",
                   says="standard error: the parameter, its value, what was expected; exit status 1",
                   recovery="start it again with a good value")  # fmt: skip
def test_nonsense_on_the_command_line_stops_the_node_with_its_name(listener: Listener) -> None:
    status, output = listener.finish(listener.start("sray_ros.mapper.node", trigger="sometimes"))
    assert status == 1
    assert "trigger is 'sometimes'; expected one of" in output
    assert "Traceback" not in output
