"""Read the settings of the service from the environment.

Only the composition roots (the callers of ``create_app``, and the command line) read them.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.latency.prefill import PrefillCost
from app.core.plan.families import DEFAULT_FAMILY
from app.cores import available_cores
from app.encoder.device import DeviceChoice, DtypeChoice, RuntimeChoice

PILLOW_MAX_PIXELS = 178_956_970
"""Pillow itself refuses larger images. The limit is twice Pillow's ``MAX_IMAGE_PIXELS``."""

MOST_DEFAULT_WORKERS = 4
"""Each worker takes memory; docs/guide/operations.md has the memory for four workers."""


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "crop-planner"


class Settings(BaseSettings):
    """Read environment variables with the prefix ``CROP_PLANNER_`` (docs/reference/settings.md)."""

    model_config = SettingsConfigDict(env_prefix="CROP_PLANNER_", extra="ignore")

    model: str = Field(
        DEFAULT_FAMILY, description="Family of plans by default, and of the encoder."
    )
    host: str = Field("127.0.0.1", description="Address that `crop-planner serve` listens on.")
    port: int = Field(
        8000, ge=0, le=65535, description="Port that `crop-planner serve` listens on."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe messages in the log."
    )

    max_upload_bytes: int = Field(
        32 * 2**20,
        ge=1,
        description="Largest image file. 32 MiB holds any phone photo as JPEG, or 11 MP as BMP.",
    )
    max_pixels: int = Field(
        64_000_000,
        ge=1,
        le=PILLOW_MAX_PIXELS,
        description="Most pixels of an upload, checked in its header, and of an image that the "
        "service makes. 64 MP, which take 256 MB decoded, hold any phone photo except those of "
        "100 MP modes.",
    )
    upload_timeout_s: float = Field(
        60, gt=0, description="Time for a client to send its image; then 504."
    )
    image_workers: int | None = Field(
        None,
        ge=1,
        description="Images that are decoded, resized and written at the same time, each on one "
        "core; by default one for each core of the process, but at most 4.",
    )
    image_queue: int = Field(
        32, ge=0, description="Uploads that may arrive or wait for a worker; then 429."
    )
    plan_queue: int = Field(
        32, ge=0, description="Plans and tables of more than a few ms that may wait; then 429."
    )

    encoder: bool = Field(
        True,
        description="Load the encoder. Without it, latencies come only from the profile in "
        "`CROP_PLANNER_PROFILE`.",
    )
    checkpoint: Path | None = Field(
        None, description="Folder of safetensors with the published vision tensors."
    )
    device: DeviceChoice = Field(
        "auto",
        description="Device of the encoder. `auto`: the GPU if torch finds one, else the CPU.",
    )
    dtype: DtypeChoice = Field(
        "auto",
        description="Number format of the encoder. `auto`: bfloat16 if the device has it, else "
        "float16 on a GPU; float32 on other devices, and if these formats are not exact "
        "enough.",
    )
    runtime: RuntimeChoice = Field(
        "auto",
        description="Way to run the network. `auto`: the fastest way that agrees with float32.",
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="Threads of the encoder on a CPU; by default the number that runs fastest.",
    )
    seed: int = Field(0, description="Seed of the random weights used without a checkpoint.")
    encoder_queue: int = Field(
        8, ge=0, description="`latency=measure`: most waiting requests; then 429."
    )
    encoder_stall_s: float = Field(
        120,
        gt=0,
        description="Longest time of one pass; after it the encoder counts as stalled.",
    )
    encode_batch_crops: int | None = Field(
        None,
        ge=1,
        description="Most crops of a pass over several images, with the global crops; by "
        "default the fewest that reach 95 % of the best rate in the profile, or 13 "
        "without a profile.",
    )
    encode_queue_crops: int = Field(
        256,
        ge=1,
        description="Most crops of all images that wait for the encoder or are in it; then 429.",
    )
    encode_timeout_s: float = Field(
        120, gt=0, description="Time for an uploaded image to wait and be encoded; then 504."
    )
    adapt_timeout_s: float = Field(
        30, gt=0, description="Time for `/adapt` to measure the quality of candidates; then 504."
    )
    measure_timeout_s: float = Field(
        120, gt=0, description="`latency=measure`: time to wait and run; then 504."
    )
    max_repeats: int = Field(
        50, ge=1, description="`latency=measure`: most timed passes of a request."
    )

    profile: Path | None = Field(
        None,
        description="Profile file to predict latencies from, instead of this device's own "
        "profile. It may be of another device; then answers say so.",
    )
    profile_on_start: bool = Field(True, description="Measure a profile in the background.")
    profile_folder: Path = Field(
        default_factory=_cache_folder, description="Folder of the saved profiles."
    )
    profile_crops: int | None = Field(
        None,
        ge=1,
        description="Most total crops in a profile; by default the family's max_crops + 1.",
    )
    profile_repeats: int | None = Field(
        None,
        ge=1,
        description="Most passes for each number of crops; by default 7 on a CPU, 200 on a GPU.",
    )
    profile_budget_s: float = Field(
        900,
        gt=0,
        description="Time for the measurement of a profile, which makes as many passes as fit into "
        "it.",
    )

    prefill_ms_per_token: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="ms of the language model's prefill for each prompt token; without it no "
        "prefill is added. `crop-planner prefill` measures it.",
    )
    prefill_base_ms: float = Field(
        0, allow_inf_nan=False, description="ms of the prefill for any prompt, whatever its length."
    )

    @property
    def workers(self) -> int:
        """Return the images in work at the same time: as set, else one on each core, up to four."""
        return self.image_workers or min(available_cores(), MOST_DEFAULT_WORKERS)

    @property
    def prefill(self) -> PrefillCost | None:
        """Return the cost of the language model's prefill, if set."""
        if self.prefill_ms_per_token is None:
            return None
        return PrefillCost(self.prefill_ms_per_token, self.prefill_base_ms)
