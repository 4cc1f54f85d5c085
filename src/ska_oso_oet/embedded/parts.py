"""A stack consists of these parts: device servers, devices to register, variables of the environment."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ska_oso_oet import resources
from ska_oso_oet.database.file_url import file_url
from ska_oso_oet.embedded.address import HOST
from ska_oso_oet.embedded.child import StackError
from ska_oso_oet.errors import InvalidArgument, NotFound
from ska_oso_oet.user_directories import cache_directory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

API_PREFIX = "/api/v1.0"

# Whoever starts the stack is the one who uses it: the controller accepts scripts from everywhere on
# this machine, unless the user's environment has another setting.
TRUSTING = {
    "OET_EMBEDDED_SCRIPTS": "allowed",
    "OET_GIT_REPOSITORIES": "https://gitlab.com/ska-telescope/,file:///",
    "OET_SCRIPT_ROOTS": "/",
}


_ENVIRONMENTS_DIR = "OET_ENVIRONMENTS_DIR"


@dataclass(frozen=True)
class Server:
    """A Tango device server of the stack: a console script and the name of the instance to run."""

    program: str
    instance: str

    @property
    def name(self) -> str:
        """The server's name in the Tango database."""
        return f"{self.program}/{self.instance}"

    def argv(self) -> list[str]:
        """Name the program and its arguments."""
        try:
            program = resources.program(self.program)
        except NotFound as error:
            raise StackError(f"{self.name}: {error}") from None
        # Without an end point every server listens on all of the machine's interfaces.
        return [program, self.instance, "-ORBendPoint", f"giop:tcp:{HOST}:0"]


CONTROLLER = Server("OETController", "01")
CONTROLLER_DEVICE = "mid-oso/oet-controller/01"
REST_DEVICE = "mid-oso/oet-rest-adapter/01"
"""Its health is part of the controller's."""
REST_ADAPTER = Server("OETRestAdapter", "01")
REST_SOCKET = "OET_REST_SOCKET"
"""The environment variable with the number of the socket that it is handed."""


@dataclass(frozen=True)
class SimulatorServers:
    """A simulated telescope; its changes last `time_scale` times as long as those of a real one."""

    name: str
    """mid or low"""
    time_scale: float = 1.0

    @property
    def server(self) -> Server:
        """Its device server."""
        return Server("TelescopeSimulator", self.name)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which scripts and the controller know it.

        They replace those of the user's environment, which may be about another telescope.
        """
        return {
            "SKA_TELESCOPE": f"ska{self.name}",
            "CENTRALNODE_FQDN": f"ska_{self.name}/tm_central/central_node",
            "SUBARRAYNODE_FQDN_PREFIX": f"ska_{self.name}/tm_subarray_node",
            "OET_SUBARRAY_COUNT": str(len(self._classes(self._devices())["SubarrayNode"])),
        }

    def _devices(self) -> dict[str, Any]:
        installed = resources.devices_dir() / "simulators" / f"{self.name}.json"
        devices: dict[str, Any] = json.loads(installed.read_text(encoding="utf-8"))
        return devices

    def _classes(self, devices: dict[str, Any]) -> dict[str, Any]:
        """Find its devices by their classes."""
        classes: dict[str, Any] = devices["servers"][self.server.program][self.name]
        return classes

    def device_file(self, directory: Path) -> Path:
        """Write its devices, with their time scale, to a file in `directory`."""
        devices = self._devices()
        for members in self._classes(devices).values():
            for device in members.values():
                if "TimeScale" in device["properties"]:
                    device["properties"]["TimeScale"] = [str(self.time_scale)]
        file = directory / f"{self.name}.json"
        file.write_text(json.dumps(devices, indent=2), encoding="utf-8")
        return file


def _installed_device_files() -> Sequence[Path]:
    return sorted(resources.devices_dir().glob("*.json"))


@dataclass(frozen=True)
class Parts:
    """The parts of a stack, beside its database."""

    servers: Sequence[Server] = (CONTROLLER,)
    """stopped in reverse order"""
    device_files: Sequence[Path] = field(default_factory=_installed_device_files)
    """the devices to register, in dsconfig format"""
    telescope: SimulatorServers | None = None
    """in the place of a real one"""
    rest_port: int | None = None
    """of the HTTP API, 0 for a free one; without it there is no HTTP API"""

    @property
    def waves(self) -> list[list[Server]]:
        """The servers in the order in which they start: those of a list together, after those before it."""
        simulators = [self.telescope.server] if self.telescope is not None else []
        adapters = [REST_ADAPTER] if self.rest_port is not None else []
        return [[*simulators, *self.servers], adapters]

    def all_device_files(self, directory: Path) -> list[Path]:
        """Every file of devices; one that is written is written to `directory`."""
        simulated = [self.telescope.device_file(directory)] if self.telescope is not None else []
        return [*self.device_files, *simulated]

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the servers that replace those of the user's environment."""
        telescope = self.telescope.environment if self.telescope is not None else {}
        if self.rest_port is None:
            return telescope
        return {
            **telescope,
            "OET_REST_API_PREFIX": API_PREFIX,
            "OET_REST_HOST": HOST,
            "OET_REST_PORT": str(self.rest_port),
            "OET_MONITORED_DEVICES": REST_DEVICE,
        }

    @property
    def rest_url(self) -> str | None:
        """Where the HTTP API is."""
        return None if self.rest_port is None else f"http://{HOST}:{self.rest_port}{API_PREFIX}"


def defaults(data_dir: Path) -> Mapping[str, str]:
    """Return the variables of the servers that the user's environment may replace."""
    return {
        **TRUSTING,
        **_places_of_no_user(data_dir),
        "ODA_DATA_DIR": str(data_dir / "oda"),  # Scheduling Blocks are this stack's own
        "OET_HISTORY_URL": file_url(data_dir / "history.db"),
    }


def _places_of_no_user(data_dir: Path) -> Mapping[str, str]:
    """Keep with the stack what users have elsewhere, for a user who has no home directory."""
    try:
        cache_directory(_ENVIRONMENTS_DIR)
    except InvalidArgument:
        return {_ENVIRONMENTS_DIR: str(data_dir / "environments")}
    return {}


def rest_is_installed() -> bool:
    """Return whether the extra `rest` is installed, which the HTTP API needs."""
    return all(find_spec(name) for name in ("fastapi", "fastapi_offline", "sse_starlette", "uvicorn"))
