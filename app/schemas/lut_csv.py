"""The lookup table as CSV, one line an option, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io

from app.schemas.resize import LutAnswer, LutRowAnswer

CSV_MEDIA_TYPE = "text/csv"


def lut_csv(answer: LutAnswer) -> str:
    """Write a table by RFC 4180 with a line of names first; docs/reference/files.md has the names.

    The conditions of a line have columns of their own, not comments. Every reader opens the file,
    and tables can be put below one another.
    """
    lines = [_line(answer, row, index) for row in answer.rows for index in range(len(row.options))]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=lines[0])  # one crop can always be had
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _line(answer: LutAnswer, row: LutRowAnswer, index: int) -> dict[str, str | float | None]:
    option = row.options[index]
    fit, latency, vision = option.fit, option.latency, option.latency.vision_ms
    left, right = answer.config.overlap_margins
    return {
        "target_crops": row.target_crops,
        "total_crops": row.total_crops,
        "rows": option.rows,
        "cols": option.cols,
        "best": "true" if index == row.best else "false",
        "width_px": option.width,
        "height_px": option.height,
        "patch_tokens": option.tokens.patch,
        "prompt_tokens": option.tokens.prompt,
        "overlap_ratio": option.overlap_ratio,
        "redundancy_ratio": option.redundancy_ratio,
        "vision_p50_ms": vision.p50 if vision else None,
        "vision_p95_ms": vision.p95 if vision else None,
        "latency_source": latency.source,
        "fit_width_px": fit.width if fit else None,
        "fit_height_px": fit.height if fit else None,
        "fit_scale": fit.scale if fit else None,
        "model": answer.model,
        "max_crops": answer.config.max_crops,
        "margin_left_patches": left,
        "margin_right_patches": right,
        "crop_size_px": answer.config.crop_size_px,
        "device": latency.device,
        "dtype": latency.dtype,
        "runtime": latency.runtime,
        "weights": latency.weights,
        "latency_reason": latency.reason,
    }
