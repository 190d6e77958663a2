"""Fixtures of several folders: the sample photo, fakes, a client."""

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import settings
from support.fakes import FakeEncoder
from support.gpu_runs import GpuRuns
from support.model_server import FakeModelServer, Socket

from app.main import create_app
from app.settings import Settings

# Triton's interpreter runs kernels without a GPU. It is asked for before Triton is imported, and
# read again by no one: on a machine with a GPU kernels are compiled.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# A deadline asserts a time, and machines are shared.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

GPU_RUNS = pytest.StashKey[GpuRuns]()
GPU_TESTS = "tests/encoder/test_make_believe_gpu.py"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the runs on make-believe GPUs, if they are wanted, in the process of all tests."""
    is_worker = hasattr(session.config, "workerinput")
    if not is_worker and not session.config.option.collectonly:
        start_gpu_runs(session.config, [item.nodeid for item in session.items], str(os.getpid()))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node, ids: list[str]) -> None:
    """Start them in the process that outlives its workers, once a first worker has collected."""
    start_gpu_runs(node.config, ids, node.workerinput["testrunuid"])


def start_gpu_runs(config: pytest.Config, ids: list[str], run: str) -> None:
    wanted = any(one.startswith(GPU_TESTS) for one in ids)
    if wanted and GPU_RUNS not in config.stash:
        config.stash[GPU_RUNS] = GpuRuns(gpu_folder(run))


def gpu_folder(run: str) -> Path:
    return Path(tempfile.gettempdir()) / f"gpu-runs-{run}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """End them, also where the tests were interrupted."""
    runs = config.stash.get(GPU_RUNS, None)
    if runs is not None:
        runs.stop()


@pytest.fixture
def gpu_runs(request: pytest.FixtureRequest) -> Path:
    """Return the folder of the runs on make-believe GPUs."""
    worker = getattr(request.config, "workerinput", None)
    return gpu_folder(worker["testrunuid"] if worker else str(os.getpid()))


SAMPLE = Path(__file__).parents[1] / "docs" / "samples" / "rocket.jpg"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def photo_bytes() -> bytes:
    """A real photo, 640×427 JPEG: 6 crops as 2×3."""
    return SAMPLE.read_bytes()


@pytest.fixture
def fake_encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture(scope="session")
def model_server_socket() -> Iterator[Socket]:
    with Socket().open() as opened:
        yield opened


@pytest.fixture
def model_server(model_server_socket) -> FakeModelServer:
    """A language model's server on a real socket, with a clock of its own."""
    return model_server_socket.fresh()


Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def serve(fake_encoder) -> Serve:
    """A client of an application made with these settings, started and stopped."""

    @asynccontextmanager
    async def started(**settings) -> AsyncIterator[httpx.AsyncClient]:
        defaults = {"profile_on_start": False}
        app = create_app(Settings(**{**defaults, **settings}), lambda: fake_encoder)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            yield client

    return started
