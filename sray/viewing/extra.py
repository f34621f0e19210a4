"""viser, which only a viewer needs: imported when it is asked for; when it is missing, the error names the remedy."""

from __future__ import annotations

import errno
import importlib
import socket
from types import ModuleType

from sray.errors import BusyError, NotInstalledError, RequestError

EXTRA = "viewer"


def import_viser() -> ModuleType:
    """The package. Raises NotInstalledError, naming the extra, if it is not installed."""
    try:
        return importlib.import_module("viser")
    except ModuleNotFoundError as error:
        raise NotInstalledError(
            f"{error.name} is not installed, which the viewer shows its pages with",
            f"the extra {EXTRA}",
            f"Install it: pip install 'sray_ros[{EXTRA}]', or pip install viser",
        ) from error


def check_port(host: str, port: int) -> None:
    """Raises BusyError if nothing can be served there; viser would silently take another port. 0 is always free.

    Raises RequestError for an address that this machine does not have.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise RequestError(f"port {port} needs more rights", "1024 to 65535", "Give another port") from error
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise BusyError(
                    f"port {port} of {host} is taken by another program, perhaps another viewer",
                    "a free one",
                    "End that program, or give another port",
                ) from error
            raise RequestError(
                f"cannot serve at {host} port {port} ({error.strerror or error})",
                "an address of this machine, such as 127.0.0.1",
            ) from error
