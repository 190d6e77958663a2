/** What has another cost: the image before and after, the differences, how to get it. */

import { curlBlock, curlOf } from "./curl.js";
import { h } from "./dom.js";
import { drawFigure } from "./figure.js";
import { bytes, count, crops, grid, percent, px, signed, time } from "./words.js";

/** @typedef {{plan: PlanAnswer, lut: LutAnswer, file: File | null, picture: string | null,
 *   config: import("./api.js").Query, isStretched: boolean}} Context what is shown now */
/** @typedef {{plan: PlanAnswer, mode: string, blob: Blob | null, header: (name: string) => string | null,
 *   call: {path: string, query: import("./api.js").Query}, asked: import("./api.js").Query}} Result
 *   `blob`: null without an image; `asked`: what `plan` answers */

/** @type {Record<string, string>} */
const MODES = {
  unchanged: "left as it is",
  fit: "its aspect kept",
  pad: "padded with black",
  crop: "cut to the shape",
  stretch: "stretched to the shape",
};

/**
 * All that there is to see of a result.
 * @param {Context} context
 * @param {Result} result
 * @param {string | null} made the address of the image that was made
 */
export function resultOf(context, result, made) {
  const { plan, picture, file } = context;
  const out = nameOf(file?.name ?? "photo.jpg", result.plan, result.blob);
  const { path, query } = result.call;
  return [
    h(
      "div",
      { class: "compared" },
      figureOf("Now", plan, picture, context),
      figureOf("Then", result.plan, made, context),
      differences(context, result),
    ),
    ...(made === null ? [] : [downloadLink(made, out, result.blob)]),
    curlBlock(curlOf(path, query, { file, upload: true, out })),
  ];
}

/**
 * @param {string} label
 * @param {PlanAnswer} plan
 * @param {string | null} picture
 * @param {Context} context
 */
function figureOf(label, plan, picture, { isStretched }) {
  const place = h("div", { class: "figure" });
  drawFigure(place, plan, { isStretched, picture, label });
  return h("figure", {}, place, h("figcaption", {}, label));
}

/**
 * @param {Context} context
 * @param {Result} result
 */
export function headline({ plan: before }, { plan, mode, header }) {
  const maxCrops = Number(header("X-Max-Crops") ?? before.config.max_crops);
  const cost = `${grid(plan.tiling)}, ${crops(plan.tiling.crops)}, ${count(plan.tokens.prompt)} prompt tokens`;
  if (maxCrops !== before.config.max_crops)
    return [
      `Image left as it is, but `,
      h("code", {}, `max_crops=${maxCrops}`),
      ` on the model server: ${cost}.`,
    ];
  if (mode === "unchanged") return [`The image costs just that already: ${cost}.`];
  return [h("strong", {}, px(plan.image)), `, ${MODES[mode] ?? mode}: ${cost}.`];
}

/**
 * Before, after and the difference, row by row.
 * @param {Context} context
 * @param {Result} result
 */
export function differences({ plan: now, file }, { plan: then, blob, header }) {
  /** @type {[string, string, string, string][]} */
  const rows = [
    ["Size", px(now.image), px(then.image), ""],
    row("Grid crops", now.tiling.crops, then.tiling.crops, count),
    row("Prompt tokens", now.tokens.prompt, then.tokens.prompt, count),
    overlapRow(now.overlap.overlap_ratio, then.overlap.overlap_ratio),
  ];
  const [before, after] = [now.latency.vision_ms, then.latency.vision_ms];
  if (before && after) {
    rows.push(row("Latency, median", before.p50, after.p50, time));
    rows.push(row("Latency, p95", before.p95, after.p95, time));
  }
  const ssim = header("X-SSIM");
  if (ssim) rows.push(["Likeness (SSIM)", "", ssim, ""]);
  if (file && blob) rows.push(row("File", file.size, blob.size, bytes));
  const body = rows.map(([name, ...cells]) =>
    h("tr", {}, h("th", { scope: "row" }, name), ...cells.map((cell) => h("td", {}, cell))),
  );
  const names = ["", "Now", "Then", "Change"].map((name) => h("th", { scope: "col" }, name));
  return h(
    "div",
    { class: "scroll differences" },
    h("table", {}, h("thead", {}, h("tr", {}, ...names)), h("tbody", {}, ...body)),
  );
}

/**
 * @param {string} name
 * @param {number} before
 * @param {number} after
 * @param {(value: number) => string} format
 * @returns {[string, string, string, string]}
 */
function row(name, before, after, format) {
  const change = signed(after - before, format);
  if (after === before || !before) return [name, format(before), format(after), change];
  const share = signed((100 * (after - before)) / before, (value) => `${value.toFixed(0)} %`);
  return [name, format(before), format(after), `${change} (${share})`];
}

/**
 * A share changes by points: percent of a percentage would be read as either.
 * @param {number} before
 * @param {number} after
 * @returns {[string, string, string, string]}
 */
function overlapRow(before, after) {
  const change = signed(after - before, (value) => `${(100 * value).toFixed(1)} points`);
  return ["Overlap", percent(before), percent(after), change];
}

/**
 * @param {string} address
 * @param {string} name
 * @param {Blob | null} blob
 */
function downloadLink(address, name, blob) {
  const size = blob ? ` (${bytes(blob.size)})` : "";
  return h(
    "p",
    {},
    h(
      "a",
      { class: "button primary", href: address, download: name, id: "download" },
      `Download ${name}${size}`,
    ),
  );
}

/** @type {Record<string, string>} */
const SUFFIXES = {
  "image/jpeg": ".jpg",
  "image/png": ".png",
  "image/webp": ".webp",
  "image/gif": ".gif",
  "image/bmp": ".bmp",
  "image/tiff": ".tiff",
};

/**
 * `photo.4crops.jpg`, as the command line has it.
 * @param {string} original
 * @param {PlanAnswer} plan
 * @param {Blob | null} blob
 */
function nameOf(original, plan, blob) {
  const [, stem = original, suffix = ""] = /^(.+?)(\.\w+)?$/.exec(original) ?? [];
  const kept = suffix.toLowerCase().replace("jpeg", "jpg").replace(/tif$/, "tiff");
  const made = SUFFIXES[blob?.type ?? ""] ?? suffix;
  return `${stem}.${plan.tiling.crops}crop${plan.tiling.crops > 1 ? "s" : ""}${made === kept ? suffix : made}`;
}
