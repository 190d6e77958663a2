"""Define the errors of this project in one tree.

    CropPlannerError
    ├── RequestError             the request asks for something impossible or unknown
    │   ├── InvalidConfig        Molmo would refuse the configuration
    │   ├── InvalidSize          a width or height is not an image size
    │   ├── UnknownModel         no family has this name
    │   ├── MalformedRequest     the request cannot be read
    │   ├── UnreachableTarget    no size or mode gives this number of crops or tokens
    │   ├── BudgetUnreachable    nothing meets the latency, the tokens and the quality
    │   ├── LatencyUnknown       a latency budget meets a plan without a latency
    │   └── UnknownMeasurement   no remembered measurement has this id
    ├── ImageError               the image cannot be used
    │   ├── PayloadTooLarge      the upload has more bytes than the limit
    │   ├── UnsupportedImageType the file has no type of image we take
    │   ├── UndecodableImage     the file is damaged
    │   ├── TooManyPixels        the image, or the result, has more pixels than the limit
    │   └── CollapsedImage       the letterbox would scale one side to 0 px
    ├── Busy                     the service has no room or no time; a later attempt may succeed
    │   ├── QueueFull            the waiting work has reached its limit
    │   ├── MeasurementRunning   another measurement of the profile runs
    │   └── DeadlineExceeded     the work took longer than allowed
    ├── EncoderError             the encoder cannot do the work
    │   ├── CheckpointError      a vision tensor is missing, surplus or misshaped
    │   ├── EncoderUnavailable   the encoder is off, loading, failed or stopped
    │   │   └── RuntimesDisagree no runtime is exact enough in the requested dtype
    │   ├── EncoderMismatch      the loaded encoder cannot run the plan
    │   ├── DeviceLost           the device takes no call any more; only a new process helps
    │   └── OutOfDeviceMemory    the image alone does not fit the device's memory
    ├── ProfileError             a latency cannot be taken from measured times
    │   ├── InvalidProfile       the profile is unreadable or contradicts itself
    │   └── NoPrefillLine        the times of prompts do not rise with their tokens
    └── ModelServerError         the measured model server failed or refused

The four parents without a slug are for ``except`` clauses and are never raised. Domain code raises
the others and does not know HTTP; ``app.http.problems`` assigns each its status.
"""

from typing import Any, ClassVar


class CropPlannerError(Exception):
    """Carry a detail for people and facts for programs.

    Args:
        detail: a sentence.
        facts: JSON values by name, such as ``limit`` and ``actual``.
    """

    slug: ClassVar[str] = "error"
    title: ClassVar[str] = "Error"

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class RequestError(CropPlannerError):
    """Group the errors of an impossible or unknown request."""


class InvalidConfig(RequestError):
    slug, title = "invalid-config", "The configuration or the parameters cannot be used"


class InvalidSize(RequestError):
    slug, title = "invalid-size", "Not an image size"


class UnknownModel(RequestError):
    slug, title = "unknown-model", "Unknown model"


class MalformedRequest(RequestError):
    slug, title = "malformed-request", "The request cannot be read"


class UnreachableTarget(RequestError):
    slug, title = "unreachable-target", "The target cannot be met exactly"


class BudgetUnreachable(RequestError):
    slug, title = "budget-unreachable", "Nothing keeps the budget"


class LatencyUnknown(RequestError):
    slug, title = "latency-unknown", "No measured latency to hold a budget against"


class UnknownMeasurement(RequestError):
    slug, title = "unknown-measurement", "Unknown measurement"


class ImageError(CropPlannerError):
    """Group the errors of an unusable image."""


class PayloadTooLarge(ImageError):
    slug, title = "payload-too-large", "Too many bytes"


class UnsupportedImageType(ImageError):
    slug, title = "unsupported-image-type", "Not an image type we take"


class UndecodableImage(ImageError):
    slug, title = "undecodable-image", "The image cannot be decoded"


class TooManyPixels(ImageError):
    slug, title = "too-many-pixels", "Too many pixels"


class CollapsedImage(ImageError):
    slug, title = "collapsed-image", "The image is too narrow for Molmo"


class Busy(CropPlannerError):
    """Group the errors of a lack of room or time."""


class QueueFull(Busy):
    slug, title = "queue-full", "Too much work is waiting"


class MeasurementRunning(Busy):
    slug, title = "measurement-running", "Another measurement is running"


class DeadlineExceeded(Busy):
    slug, title = "deadline-exceeded", "The deadline has passed"


class EncoderError(CropPlannerError):
    slug, title = "encoder-error", "The encoder failed"


class CheckpointError(EncoderError):
    slug, title = "bad-checkpoint", "The checkpoint does not fit the model"


class EncoderUnavailable(EncoderError):
    slug, title = "encoder-unavailable", "The encoder is not available"


class RuntimesDisagree(EncoderUnavailable):
    """Tell a loader to go on in float32, or to fail."""

    slug, title = "runtimes-disagree", "No runtime is exact enough in this dtype"


class EncoderMismatch(EncoderError):
    slug, title = "encoder-mismatch", "The loaded encoder cannot run this plan"


class DeviceLost(EncoderError):
    slug, title = "device-lost", "The device takes no call any more"


class OutOfDeviceMemory(EncoderError):
    slug, title = "out-of-device-memory", "The image does not fit the device's memory"


class ProfileError(CropPlannerError):
    """Group the errors of measured times."""


class InvalidProfile(ProfileError):
    slug, title = "invalid-profile", "The profile cannot be used"


class NoPrefillLine(ProfileError):
    slug, title = "no-prefill-line", "The times make no line"


class ModelServerError(CropPlannerError):
    slug, title = "model-server-error", "The model server cannot be measured"
