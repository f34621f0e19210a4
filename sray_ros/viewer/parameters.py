"""The parameters of the viewer node. All are fixed when the node starts."""

from __future__ import annotations

from dataclasses import dataclass

from sray_ros.common.parameters import NEVER, NodeParameters, parameter


@dataclass(frozen=True)
class ViewerSettings:
    """Typed values of all parameters, which never change."""

    mapper: str = parameter(
        "semantic_mapper",
        "name of the mapper's node, in the namespace of this one unless it starts with /",
        applies=NEVER,
        check=lambda name: None if name else "the name of a node",
    )
    host: str = parameter(
        "127.0.0.1",
        "who may look: 127.0.0.1 this machine alone, 0.0.0.0 everybody on the network, without a password",
        applies=NEVER,
        check=lambda host: None if host else "an address of this machine",
    )
    port: int = parameter(8080, "of the page; 0: any that is free, which the log names", (0, 65535), applies=NEVER)


ViewerParameters = NodeParameters[ViewerSettings]
