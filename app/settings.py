"""The settings of the service, read from the environment in one place.

Only the composition roots (the callers of ``create_app``, and the command line) read them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.latency.prefill import PrefillCost
from app.core.plan.families import DEFAULT_FAMILY
from app.cores import available_cores
from app.encoder.device.choices import DeviceChoice, DtypeChoice, RuntimeChoice

PILLOW_MAX_PIXELS = 178_956_970
"""Pillow itself refuses larger images, twice ``MAX_IMAGE_PIXELS``; its guard stays on."""

MOST_DEFAULT_WORKERS = 4
"""Memory grows with the workers on any machine; docs/guide/operations.md has what four can take."""


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "crop-planner"


class Settings(BaseSettings):
    """Read environment variables with the prefix ``CROP_PLANNER_`` (docs/reference/settings.md)."""

    model_config = SettingsConfigDict(env_prefix="CROP_PLANNER_", extra="ignore")

    model: str = Field(DEFAULT_FAMILY, description="Family planned for by default, and encoded.")
    host: str = Field("127.0.0.1", description="Address `crop-planner serve` listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port `crop-planner serve` listens on.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe messages that are logged."
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
        description="Most pixels of an image, checked from its header, and of one we make. "
        "64 MP holds any phone photo but 100 MP modes; decoded it takes 256 MB.",
    )
    upload_timeout_s: float = Field(
        60, gt=0, description="Time a client has to send its image, then 504."
    )
    image_workers: int | None = Field(
        None,
        ge=1,
        description="Images decoded, resized and encoded at the same time, each on one core; "
        "by default the cores that the process may use, but at most 4.",
    )
    image_queue: int = Field(
        32, ge=0, description="Uploads that may wait for a worker or be arriving; then 429."
    )
    plan_queue: int = Field(
        32, ge=0, description="Plans and tables of more than a few ms that may wait; then 429."
    )

    encoder: bool = Field(
        True,
        description="Load the encoder. Without it only a profile that is named gives latencies.",
    )
    checkpoint: Path | None = Field(
        None, description="Folder of safetensors with the published vision tensors."
    )
    device: DeviceChoice = Field("auto", description="Where the encoder runs.")
    dtype: DtypeChoice = Field(
        "auto",
        description="What the encoder computes in; auto: bfloat16 where the device has it, float16 "
        "on GPUs without, and float32 where those are not exact enough.",
    )
    runtime: RuntimeChoice = Field(
        "auto", description="How the network is run; auto: the fastest that agrees with float32."
    )
    threads: int | None = Field(
        None, ge=1, description="Threads of the encoder on a CPU; by default what runs fastest."
    )
    seed: int = Field(0, description="Seed of the random weights used without a checkpoint.")
    encoder_queue: int = Field(8, ge=0, description="Measurements that may wait; then 429.")
    encoder_stall_s: float = Field(
        120, gt=0, description="One pass longer than this and /readyz calls the encoder stalled."
    )
    encode_batch_crops: int | None = Field(
        None,
        ge=1,
        description="Most crops, global ones included, of a pass over several images; by default "
        "the fewest that reach 95 % of the best rate in the profile, or 13 without one.",
    )
    encode_queue_crops: int = Field(
        256, ge=1, description="Most crops of all images that wait to be encoded or are; then 429."
    )
    encode_timeout_s: float = Field(
        120, gt=0, description="Time an uploaded image may wait and be encoded, then 504."
    )
    adapt_timeout_s: float = Field(
        30, gt=0, description="Time `/adapt` may measure the quality of candidates, then 504."
    )
    measure_timeout_s: float = Field(
        120, gt=0, description="Time a measurement may wait and run, then 504."
    )
    max_repeats: int = Field(50, ge=1, description="Most passes of one measurement.")

    profile: Path | None = Field(
        None,
        description="A profile file to predict latencies by, in place of this device's own; "
        "it may be of another device, and answers say so.",
    )
    profile_on_start: bool = Field(True, description="Measure a profile in the background.")
    profile_folder: Path = Field(
        default_factory=_cache_folder, description="Where profiles are kept between starts."
    )
    profile_crops: int | None = Field(
        None, ge=1, description="Most total crops profiled; by default the family's max_crops + 1."
    )
    profile_repeats: int | None = Field(
        None,
        ge=1,
        description="Most passes per number of crops; by default 7 on a CPU, 200 on a GPU.",
    )
    profile_budget_s: float = Field(
        900, gt=0, description="Time that measuring a profile may take; as many passes as fit."
    )

    prefill_ms_per_token: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="ms that each prompt token costs in the language model's prefill; without it "
        "none is added. `crop-planner prefill` measures it.",
    )
    prefill_base_ms: float = Field(
        0, allow_inf_nan=False, description="ms of the prefill that any prompt costs."
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
