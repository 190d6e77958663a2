"""The real encoder behind the service: staged anywhere, encoded together, out of memory by name."""

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from PIL import Image
from support.waiting import until

from app.core.errors import OutOfDeviceMemory
from app.core.latency.status import MeasurementState
from app.core.plan.config import make_config
from app.core.plan.plan import make_plan
from app.core.plan.tokens import TokenKind, token_sequence
from app.encoder.device.device import dtype_named
from app.encoder.device.memory import in_device_memory
from app.encoder.encoder import Encoder
from app.encoder.measuring.pacing import WarmupRule
from app.encoder.network.checkpoint import load_checkpoint
from app.encoder.runtimes.base import Eager
from app.imaging.read.decode import Picture, decode
from app.serving.device.served_encoder import ProfileOptions, ServedEncoder
from app.serving.device.worker import DeviceWorker
from app.serving.encode.encoding import Encoding
from app.serving.latency.encoder_service import EncoderService
from tests.encoder.reference import CPU, molmo1_vectors, pattern_image, write_checkpoint

SIZES = [(150, 90), (84, 84), (60, 200), (90, 150)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Encoder:
    vectors = molmo1_vectors()
    folder = write_checkpoint(tmp_path_factory.mktemp("tiny"), vectors.weights)
    backbone = load_checkpoint(folder, vectors.family, CPU, torch.float32)
    return Encoder(vectors.family, Eager(backbone), CPU, torch.float32, "checkpoint")


@pytest.fixture
def served(tiny, tmp_path, monkeypatch) -> ServedEncoder:
    """Measures one count once, hardly warm and
    hardly calibrated; another dtype is loaded by saying so."""
    once = WarmupRule(at_least_s=0, at_most_s=0)
    monkeypatch.setattr("app.encoder.measuring.measure.default_warmup", lambda _: once)
    monkeypatch.setattr("app.encoder.measuring.measure.matmul_gflop_per_s", lambda *_: 1e6)

    def another(name: str) -> Encoder:
        vectors, dtype = molmo1_vectors(), dtype_named(name)
        folder = write_checkpoint(tmp_path, vectors.weights)
        backbone = load_checkpoint(folder, vectors.family, CPU, dtype)
        return Encoder(vectors.family, Eager(backbone), CPU, dtype, "checkpoint")

    options = ProfileOptions(tmp_path / "profiles", crops=1, repeats=1, budget_s=60)
    return ServedEncoder(tiny, options, another)


@pytest.fixture
def service(served) -> Iterator[EncoderService]:
    """Ready, and measuring nothing by itself."""
    worker = DeviceWorker(queue_limit=1, stall_s=60)
    service = EncoderService(lambda: served, profile_on_start=False, worker=worker)
    service.start()
    until(lambda: service.status().state == "ready")
    yield service
    worker.stop()


def measured(service: EncoderService, **asked) -> MeasurementState:
    profiling = service.device_profile
    started = profiling.start(service.ready_encoder(), **asked)
    until(lambda: profiling.measurements.state(started.id).status != "running", seconds=60)
    return profiling.measurements.state(started.id)


def picture(width: int, height: int) -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(pattern_image(height, width, 1)).save(buffer, "PNG")
    return decode(buffer.getvalue(), max_pixels=10**6)


def alone(tiny: Encoder, width: int, height: int) -> torch.Tensor:
    plan = make_plan(picture(width, height).size, make_config(tiny.family))
    return tiny.run(tiny.prepare(pattern_image(height, width, 1), plan)).tokens


def test_images_staged_in_several_threads_and_encoded_together_are_what_each_is_alone(tiny, served):
    config = make_config(tiny.family)

    def stage(size):
        image = picture(*size)
        return served.stage(image, make_plan(image.size, config))

    with ThreadPoolExecutor(4) as threads:
        staged = list(threads.map(stage, SIZES))
    for size, one, image in zip(SIZES, staged, served.launch(staged).result(), strict=True):
        plan = make_plan(picture(*size).size, config)
        assert one.total_crops == plan.total_crops
        torch.testing.assert_close(image.tokens, alone(tiny, *size), rtol=1e-5, atol=1e-5)
        sequence = token_sequence(plan.grid, config)
        patches = [at for at, kind in enumerate(sequence) if kind is TokenKind.PATCH]
        assert image.positions.tolist() == patches


def test_a_measured_image_is_prepared_by_the_clock_of_the_device(tiny, served, monkeypatch):
    """So that `preprocess` holds no work that is still under way, and `transfer` is known."""
    timed = Encoder.prepare_timed

    def with_a_bus(self, pixels, plan):
        prepared, transfer_ms = timed(self, pixels, plan)
        assert transfer_ms is None, "there is no bus here"
        return prepared, 2.5

    image = picture(150, 90)
    plan = make_plan(image.size, make_config(tiny.family))
    assert served.prepare(image, plan)[1] is None
    monkeypatch.setattr(Encoder, "prepare_timed", with_a_bus)
    run_pass, transfer_ms = served.prepare(image, plan)
    assert transfer_ms == 2.5
    assert run_pass().vision_ms > 0


@pytest.mark.anyio
async def test_requests_at_the_same_time_get_the_tokens_of_their_own_images(tiny, served):
    """Through staging threads, the policy and the device's thread, in a single pass."""
    worker = DeviceWorker(queue_limit=1, stall_s=5)
    encoder = EncoderService(lambda: served, profile_on_start=False, worker=worker)
    encoding = Encoding(encoder, worker, batch_crops=100, queue_crops=1000, timeout_s=30)
    encoder.start()
    await asyncio.to_thread(until, lambda: encoder.status().state == "ready")
    device_is_free = threading.Event()
    busy = worker.submit(lambda: device_is_free.wait(60))
    config = make_config(tiny.family)

    async def request(size):
        now = time.monotonic()
        staged = await asyncio.to_thread(encoding.stage, lambda: picture(*size), config, now)
        return await encoding.encode(staged)

    tasks = [asyncio.create_task(request(size)) for size in SIZES * 3]
    await asyncio.to_thread(until, lambda: encoding.waiting == len(tasks))
    device_is_free.set()
    answers = await asyncio.gather(*tasks)
    for size, answer in zip(SIZES * 3, answers, strict=True):
        tokens = answer.image.tokens
        torch.testing.assert_close(tokens, alone(tiny, *size), rtol=1e-5, atol=1e-5)
    total = sum(answer.plan.total_crops for answer in answers)
    assert {answer.pass_crops for answer in answers} == {total}
    assert busy.result(0)
    worker.stop()


def test_a_measurement_is_used_and_saved_and_adds_to_what_there_is(service, served):
    """As many passes as asked for; what another measured stays."""
    first = measured(service, counts=[2], repeats=2)
    assert first.failure is None
    assert first.status == "done"
    second = measured(service, counts=[3, 1], repeats=3, full=True)
    assert [entry.total_crops for entry in second.profile.entries] == [1, 3]
    assert second.profile.entry(3).full_ms is not None
    assert second.profile.entry(3).vision_ms.samples == 3
    in_use = service.predictions().profile
    assert in_use.entry(2) == first.profile.entry(2)
    assert in_use.entry(3) == second.profile.entry(3)
    assert served.saved_profile() == in_use


def test_another_dtype_is_measured_beside_the_encoder_in_use(service, served):
    """With weights of its own that are gone afterwards, and a file of its own."""
    before = measured(service, counts=[1]).profile
    other = measured(service, counts=[1], dtype="bfloat16")
    assert other.failure is None
    assert other.profile.dtype == "bfloat16"
    assert service.predictions().profile == before
    assert served.saved_profile() == before
    assert served.in_dtype("bfloat16").saved_profile() == other.profile


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"counts": [1], "dtype": "bfloat16"}, "a second encoder in bfloat16 would take"),
        ({"counts": [65]}, "the inputs of all counts would take"),
    ],
)
def test_what_would_not_fit_is_refused_before_it_is_tried(service, monkeypatch, asked, told):
    monkeypatch.setattr("app.encoder.device.memory.free_bytes", lambda _: 100)
    failed = measured(service, **asked)
    assert failed.status == "failed"
    assert failed.failure.slug == "out-of-device-memory"
    assert told in failed.failure.detail
    assert "MB are free" in failed.failure.detail
    assert service.predictions().profile is None


def test_a_saved_profile_that_cannot_be_read_is_measured_anew(served):
    """Nobody has to delete it first."""
    served._file.parent.mkdir(parents=True)
    served._file.write_text("{")
    assert served.saved_profile() is None


def test_a_profile_that_cannot_be_saved_is_used_all_the_same(service, served):
    """A folder that is a file costs the next start a measurement, and this one nothing."""
    served._file.parent.write_text("no folder")
    done = measured(service, counts=[1])
    assert done.failure is None
    assert service.predictions().profile == done.profile


@pytest.mark.parametrize(
    "raised",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_running_out_of_memory_has_one_name(raised):
    def work() -> None:
        raise raised

    with pytest.raises(OutOfDeviceMemory) as caught:
        in_device_memory(work)
    assert str(raised) in caught.value.detail


def test_the_cpus_allocator_is_understood_as_it_really_speaks():
    with pytest.raises(OutOfDeviceMemory, match="allocate"):
        in_device_memory(lambda: torch.empty(10**15))


def test_torchs_error_is_not_kept_as_its_frames_hold_the_memory():
    with pytest.raises(OutOfDeviceMemory) as caught:
        in_device_memory(lambda: torch.empty(10**15))
    assert caught.value.__context__ is None


def test_other_errors_stay_what_they_are():
    def work() -> None:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        in_device_memory(work)
