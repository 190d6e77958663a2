"""Every error this project raises on purpose.

    CropPlannerError
    ├── InvalidConfig            a configuration Molmo itself would refuse
    ├── InvalidSize              a width or height that is no image size
    ├── CollapsedImage           so narrow that the letterbox scales one side to 0 px
    ├── UnknownModel             no family of that name
    ├── UnreachableTarget        no size or mode gives that many crops or tokens
    ├── BudgetUnreachable        nothing keeps the latency, the tokens and the quality asked for
    ├── LatencyUnknown           a latency budget, and no measured latency to hold it against
    ├── MalformedRequest         the request itself cannot be read
    ├── PayloadTooLarge          more bytes than the limit
    ├── UnsupportedImageType     not an image type we take
    ├── UndecodableImage         an image type we take, damaged
    ├── TooManyPixels            the header announces more pixels than the limit
    ├── EncoderError             the encoder cannot do what is asked
    │   ├── CheckpointError      missing, surplus or misshaped vision tensors
    │   ├── EncoderUnavailable   loading, failed, switched off or for another model
    │   │   └── RuntimesDisagree no runtime is exact enough in the dtype asked for
    │   ├── EncoderMismatch      this plan is not one the loaded encoder can run
    │   ├── DeviceLost           the device takes no call any more; only a new process helps
    │   └── OutOfDeviceMemory    this image alone does not fit the device's memory
    ├── InvalidProfile           a profile file that cannot be used
    ├── InvalidDataset           no data set of images where one was named
    ├── InvalidProfiling         a profiling file of a data set that cannot be used
    ├── MeasurementRunning       the profile is being measured, which only one may at a time
    ├── UnknownMeasurement       no measurement of that id, or no longer
    ├── ModelServerError         a model server that we were to measure did not play along
    ├── NoPrefillLine            the times of prompts make no line over their tokens
    ├── QueueFull                as much work waiting as is allowed
    └── DeadlineExceeded         waited longer than allowed

Domain code raises these and never speaks of HTTP; ``app.http.problems`` gives each its status.
"""

from __future__ import annotations

from typing import Any, ClassVar


class CropPlannerError(Exception):
    """Base of all errors; ``detail`` is for people, ``facts`` (JSON values) for programs."""

    slug: ClassVar[str] = "error"
    title: ClassVar[str] = "Error"

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class InvalidConfig(CropPlannerError):
    slug, title = "invalid-config", "The configuration or the parameters cannot be used"


class InvalidSize(CropPlannerError):
    slug, title = "invalid-size", "Not an image size"


class CollapsedImage(CropPlannerError):
    slug, title = "collapsed-image", "The image is too narrow for Molmo"


class UnknownModel(CropPlannerError):
    slug, title = "unknown-model", "Unknown model"


class UnreachableTarget(CropPlannerError):
    slug, title = "unreachable-target", "The target cannot be met exactly"


class BudgetUnreachable(CropPlannerError):
    slug, title = "budget-unreachable", "Nothing keeps the budget"


class LatencyUnknown(CropPlannerError):
    slug, title = "latency-unknown", "No measured latency to hold a budget against"


class MalformedRequest(CropPlannerError):
    slug, title = "malformed-request", "The request cannot be read"


class PayloadTooLarge(CropPlannerError):
    slug, title = "payload-too-large", "Too many bytes"


class UnsupportedImageType(CropPlannerError):
    slug, title = "unsupported-image-type", "Not an image type we take"


class UndecodableImage(CropPlannerError):
    slug, title = "undecodable-image", "The image cannot be decoded"


class TooManyPixels(CropPlannerError):
    slug, title = "too-many-pixels", "Too many pixels"


class EncoderError(CropPlannerError):
    slug, title = "encoder-error", "The encoder failed"


class CheckpointError(EncoderError):
    slug, title = "bad-checkpoint", "The checkpoint does not fit the model"


class EncoderUnavailable(EncoderError):
    slug, title = "encoder-unavailable", "The encoder is not available"


class RuntimesDisagree(EncoderUnavailable):
    """Raised while loading; a loader may go on in float32."""

    slug, title = "runtimes-disagree", "No runtime is exact enough in this dtype"


class EncoderMismatch(EncoderError):
    slug, title = "encoder-mismatch", "The loaded encoder cannot run this plan"


class DeviceLost(EncoderError):
    slug, title = "device-lost", "The device takes no call any more"


class OutOfDeviceMemory(EncoderError):
    slug, title = "out-of-device-memory", "The image does not fit the device's memory"


class InvalidProfile(CropPlannerError):
    slug, title = "invalid-profile", "The profile cannot be used"


class InvalidDataset(CropPlannerError):
    slug, title = "invalid-dataset", "No data set of images"


class InvalidProfiling(CropPlannerError):
    slug, title = "invalid-profiling", "The profiling file cannot be used"


class MeasurementRunning(CropPlannerError):
    slug, title = "measurement-running", "Another measurement is running"


class UnknownMeasurement(CropPlannerError):
    slug, title = "unknown-measurement", "Unknown measurement"


class ModelServerError(CropPlannerError):
    slug, title = "model-server-error", "The model server cannot be measured"


class NoPrefillLine(CropPlannerError):
    slug, title = "no-prefill-line", "The times make no line"


class QueueFull(CropPlannerError):
    slug, title = "queue-full", "Too much work is waiting"


class DeadlineExceeded(CropPlannerError):
    slug, title = "deadline-exceeded", "The deadline has passed"
