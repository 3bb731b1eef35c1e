"""Other gateways, where they are installed: as they come from their packages, none of them recording anything.

They are looked for in the directories that DATAELAN_BENCH_PEERS names (a virtual environment, a directory with several
of them, one with node_modules), and on the PATH.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..stack import free_port
from .products import NotThere, Product, await_answer, base, running
from .upstream import INSTANT, SLOW

TOKEN = "sk-bench-0123456789abcdef0123456789abcdef"
QUIET = {"DO_NOT_TRACK": "1", "NO_COLOR": "1", "NO_PROXY": "*", "no_proxy": "*"}


@dataclass(frozen=True)
class Peer:
    name: str
    find: Callable[[], Path | None]
    """The program to run."""
    version: Callable[[Path], str]
    install: str
    command: tuple[str, ...]
    """{program}, {config} and {port} are filled in."""
    configuration: Callable[[str], str] = lambda upstream: ""
    """What is in its file, given where the provider answers."""
    headers: Callable[[str], Mapping[str, str]] = lambda upstream: {"authorization": f"Bearer {TOKEN}"}
    environment: Mapping[str, str] = field(default_factory=dict)
    says_done: bool = True


@contextmanager
def peer(wanted: Peer, upstream: Product) -> Iterator[Product]:
    """Raises NotThere."""
    program = wanted.find()
    if program is None:
        raise NotThere(f"not installed: {wanted.install}")
    with tempfile.TemporaryDirectory(prefix="dataelan-bench-") as place:
        port, config, log = free_port(), Path(place) / "config.yaml", Path(place) / "log"
        config.write_text(wanted.configuration(base(upstream)))
        filled = {"{program}": str(program), "{config}": str(config), "{port}": str(port)}
        command = [re.sub(r"{\w+}", lambda found: filled[found[0]], part) for part in wanted.command]
        path = os.pathsep.join((str(program.parent), os.environ.get("PATH", "")))
        environment = {**os.environ, **QUIET, "PATH": path, "HOME": place, **wanted.environment}
        with running(command, log, environment) as process:
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            headers = wanted.headers(base(upstream))
            product = Product(f"{wanted.name} {wanted.version(program)}", url, headers, process.pid, wanted.says_done)
            try:
                await_answer(product, process)
            except NotThere as reason:
                said = log.read_text(errors="replace").strip().splitlines()
                raise NotThere(f"{reason} ({said[-1][:120] if said else 'it said nothing'})") from reason
            yield product


# -- finding them --------------------------------------------------------------------------------


def places() -> list[Path]:
    return [Path(name) for name in os.environ.get("DATAELAN_BENCH_PEERS", "").split(os.pathsep) if name]


def python_program(name: str) -> Callable[[], Path | None]:
    def find() -> Path | None:
        bins = [bin for place in places() for bin in (place / "bin", *sorted(place.glob("*/bin")))]
        found = shutil.which(name, path=os.pathsep.join(map(str, bins))) or shutil.which(name)
        return Path(found) if found else None

    return find


def python_version(program: Path) -> str:
    """Of the package of the same name in the same environment; empty where it does not tell."""
    for found in program.parent.parent.glob(f"lib/python3*/site-packages/{program.name}-*.dist-info"):
        return found.name.removesuffix(".dist-info").partition("-")[2]
    return ""


def node_program(package: str, file: str) -> Callable[[], Path | None]:
    def find() -> Path | None:
        more = [Path(name) for name in os.environ.get("NODE_PATH", "").split(os.pathsep) if name]
        for modules in [*(place / "node_modules" for place in places()), *more]:
            if (modules / package / file).exists() and shutil.which("node"):
                return modules / package / file
        return None

    return find


def node_version(program: Path) -> str:
    return str(json.loads((program.parents[1] / "package.json").read_text())["version"])


# -- which there are -----------------------------------------------------------------------------


def litellm_file(upstream: str) -> str:
    def model(name: str) -> dict[str, object]:
        asked = {"model": f"openai/{name}", "api_base": upstream, "api_key": "sk-bench"}
        return {"model_name": name, "litellm_params": asked}

    return json.dumps({"model_list": [model(INSTANT), model(SLOW)]})


def mlflow_file(upstream: str) -> str:
    def endpoint(name: str) -> dict[str, object]:
        config = {"openai_api_base": upstream, "openai_api_key": "sk-bench"}
        return {
            "name": name,
            "endpoint_type": "llm/v1/chat",
            "model": {"provider": "openai", "name": name, "config": config},
        }

    return json.dumps({"endpoints": [endpoint(INSTANT), endpoint(SLOW)]})


LITELLM = Peer(
    "LiteLLM",
    python_program("litellm"),
    python_version,
    "pip install 'litellm[proxy]'",
    ("{program}", "--config", "{config}", "--host", "127.0.0.1", "--port", "{port}", "--num_workers", "1"),
    litellm_file,
    environment={
        "LITELLM_MASTER_KEY": TOKEN,  # it starts with none no more
        "LITELLM_TELEMETRY": "False",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    },
)
PORTKEY = Peer(
    "Portkey",
    node_program("@portkey-ai/gateway", "build/start-server.js"),
    node_version,
    "npm install @portkey-ai/gateway, with "
    '{"overrides": {"@hono/node-server": "1.14.0"}} in package.json (its streams fail with later ones)',
    ("node", "{program}", "--headless", "--port={port}"),
    headers=lambda upstream: {
        "authorization": "Bearer sk-bench",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": upstream,
    },
)
MLFLOW = Peer(
    "MLflow gateway",
    python_program("mlflow"),
    python_version,
    "pip install 'mlflow[genai]'",
    ("{program}", "gateway", "start", "--config-path", "{config}", "--port", "{port}"),  # two workers, as it comes
    mlflow_file,
    environment={"MLFLOW_DISABLE_TELEMETRY": "true"},
    says_done=False,
)
