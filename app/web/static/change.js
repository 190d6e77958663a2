/** Another cost: a slider, the image that has it, what changed, and how to get it. */

import { Latest, Problem, curlOf, getJson, postImage } from "./api.js";
import { curlBlock } from "./curl.js";
import { byId, h } from "./dom.js";
import { drawFigure } from "./figure.js";
import { isAbort, showProblem, uploadProgress } from "./messages.js";
import { bytes, count, crops, grid, percent, px, signed, time } from "./words.js";

/** @typedef {"crops" | "tokens" | "latency"} By */
/** @typedef {{plan: PlanAnswer, lut: LutAnswer, file: File | null, picture: string | null,
 *   config: import("./api.js").Query, isStretched: boolean}} Context what is shown now */
/** @typedef {{plan: PlanAnswer, mode: string, blob: Blob | null, header: (name: string) => string | null,
 *   call: {path: string, query: import("./api.js").Query}}} Result `blob`: null without an image */
/** @typedef {{label: string, min: number, max: number, value: number,
 *   format: (value: number) => string}} Range */

/** So long the slider rests before an image is sent. */
const REST_MS = 200;

/** @type {Record<string, string>} */
const MODES = {
  unchanged: "left as it is",
  fit: "its aspect kept",
  pad: "padded with black",
  crop: "cut to the shape",
  stretch: "stretched to the shape",
};

export class ChangePanel {
  #form = byId("targets", HTMLFormElement);
  #slider = byId("target", HTMLInputElement);
  #value = byId("target-value", HTMLOutputElement);
  #place = byId("change", HTMLElement);
  #latest = new Latest();
  /** @type {Context | null} */
  #context = null;
  /** @type {Range | null} */
  #range = null;
  /** What each way was set to; as long as there is nothing, one that makes sense. @type {Map<By, number>} */
  #set = new Map();
  /** @type {number | undefined} */
  #timer;
  /** Of the image that was made. @type {string | null} */
  #made = null;

  constructor() {
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#slider.addEventListener("input", () => {
      this.#set.set(this.#by, this.#slider.valueAsNumber);
      this.#show();
      this.#soon(REST_MS);
    });
    this.#form.addEventListener("change", (event) => {
      if (event.target === this.#slider) return;
      this.#arrange();
      this.#soon(0);
    });
  }

  /**
   * Aim at a number of crops.
   * @param {number} target
   */
  aim(target) {
    const [byCrops] = this.#form.querySelectorAll("input[value=crops]");
    if (byCrops instanceof HTMLInputElement) byCrops.checked = true;
    this.#set.set("crops", target);
    this.#arrange();
    this.#soon(0);
    this.#slider.focus();
  }

  /**
   * Start again from another image, size or configuration.
   * @param {Context} context
   * @param {boolean} isAnother whether it is another image or size
   */
  update(context, isAnother) {
    if (isAnother) this.#set.clear();
    this.#context = context;
    this.#arrange();
    this.#soon(0);
  }

  /** @returns {By} */
  get #by() {
    const by = new FormData(this.#form).get("by");
    return by === "tokens" || by === "latency" ? by : "crops";
  }

  /** Set the slider and the options to what is aimed at. */
  #arrange() {
    if (this.#context === null) return;
    const by = this.#by;
    for (const option of this.#form.querySelectorAll("[data-for]"))
      if (option instanceof HTMLElement)
        option.hidden = !option.dataset.for?.split(" ").includes(by);
    this.#range = rangeOf(by, this.#context);
    this.#slider.disabled = this.#range === null;
    if (this.#range === null) {
      this.#value.textContent = "–";
      return;
    }
    const { label, min, max, value } = this.#range;
    byId("target-label", HTMLElement).textContent = label;
    this.#slider.min = String(min);
    this.#slider.max = String(max);
    this.#slider.value = String(this.#set.get(by) ?? value);
    this.#show();
  }

  #show() {
    const said = this.#range?.format(this.#slider.valueAsNumber) ?? "–";
    this.#value.textContent = said;
    this.#slider.setAttribute("aria-valuetext", said);
  }

  /** @param {number} ms */
  #soon(ms) {
    clearTimeout(this.#timer);
    this.#latest.stop();
    this.#place.setAttribute("aria-busy", "true");
    this.#timer = setTimeout(() => this.#run(), ms);
  }

  async #run() {
    if (this.#context === null) return;
    const context = this.#context;
    const signal = this.#latest.next();
    showProblem("change-problem");
    try {
      const result = await this.#ask(context, signal);
      if (signal.aborted) return;
      this.#render(context, result);
    } catch (error) {
      if (isAbort(error)) return;
      this.#place.replaceChildren();
      showProblem("change-problem", error, this.#reachable(error));
    }
    this.#place.removeAttribute("aria-busy");
  }

  /**
   * @param {Context} context
   * @param {AbortSignal} signal
   * @returns {Promise<Result | string>} a string says why there is nothing
   */
  async #ask(context, signal) {
    if (this.#range === null)
      return "There are no latencies to aim at, as no profile is known yet.";
    const call = this.#call(context);
    if (context.file === null)
      return sizeAlone(context, this.#by, this.#slider.valueAsNumber, call, signal);
    const progress = uploadProgress("change-progress", "Resizing…");
    try {
      const options = { accept: "image/*", signal, onProgress: progress.update };
      const { body, header } = await postImage(call.path, call.query, context.file, options);
      const size = { width: header("X-Image-Width"), height: header("X-Image-Height") };
      const max_crops = header("X-Max-Crops") ?? context.config.max_crops;
      const plan = await getJson("plan", { ...context.config, max_crops, ...size }, signal);
      return { plan, mode: header("X-Resize-Mode") ?? "", blob: body, header, call };
    } finally {
      progress.end();
    }
  }

  /**
   * What is to be called.
   * @param {Context} context
   */
  #call({ config }) {
    const value = this.#slider.valueAsNumber;
    const [mode, alone, never] = [
      byId("mode", HTMLSelectElement).value,
      !byId("server-too", HTMLInputElement).checked,
      byId("never-enlarge", HTMLInputElement).checked,
    ];
    if (this.#by === "crops") {
      const upscale = never ? "never" : null;
      const query = { target_crops: value, mode: mode === "auto" ? null : mode, upscale };
      return { path: "resize", query: { ...query, ...config } };
    }
    const budget = this.#by === "tokens" ? { max_tokens: value } : { latency_budget_ms: value };
    return { path: "adapt", query: { ...budget, strategy: alone ? "resize" : null, ...config } };
  }

  /**
   * Buttons for what can be reached instead, where the problem says so.
   * @param {unknown} error
   */
  #reachable(error) {
    if (!(error instanceof Problem) || !Array.isArray(error.facts.reachable)) return null;
    const mode = byId("mode", HTMLSelectElement).value;
    const reached = error.facts.reachable.filter(
      (one) => Number.isInteger(one.crops) && (mode === "auto" || one.modes?.includes(mode)),
    );
    if (this.#by !== "crops" || !reached.length) return null;
    const buttons = reached.map((one) =>
      h("button", { type: "button", click: () => this.aim(one.crops) }, one.crops),
    );
    return h("p", { class: "reachable" }, "What can be reached: ", ...buttons);
  }

  /**
   * @param {Context} context
   * @param {Result | string} result
   */
  #render(context, result) {
    if (this.#made !== null) URL.revokeObjectURL(this.#made);
    this.#made = null;
    if (typeof result === "string") {
      this.#place.replaceChildren(h("p", { class: "lead" }, result));
      return;
    }
    if (result.blob !== null) this.#made = URL.createObjectURL(result.blob);
    const before = h("figure", {}, h("div", { class: "figure" }), h("figcaption", {}, "Now"));
    const after = h("figure", {}, h("div", { class: "figure" }), h("figcaption", {}, "Then"));
    const { isStretched } = context;
    drawFigure(inside(before), context.plan, {
      isStretched,
      picture: context.picture,
      label: "Now",
    });
    drawFigure(inside(after), result.plan, { isStretched, picture: this.#made, label: "Then" });
    const out = nameOf(context.file?.name ?? "photo.jpg", result.plan, result.blob);
    const { path, query } = result.call;
    this.#place.replaceChildren(
      h("p", { class: "lead" }, ...headline(context, result)),
      h("div", { class: "compared" }, before, after, differences(context, result)),
      ...(this.#made === null ? [] : [downloadLink(this.#made, out, result.blob)]),
      curlBlock(curlOf(path, query, { file: context.file, upload: true, out })),
    );
  }
}

/** @param {HTMLElement} figure */
function inside(figure) {
  const place = figure.querySelector("div");
  if (place === null) throw new Error("the figure has no place to draw");
  return place;
}

/**
 * What the slider goes over, and where it starts; null where there is nothing to aim at.
 * @param {By} by
 * @param {Context} context
 * @returns {Range | null}
 */
function rangeOf(by, { plan, lut }) {
  const options = lut.rows.flatMap((row) => row.options);
  const start = startOf(plan);
  if (by === "crops") {
    const max = plan.config.max_crops;
    return { label: "Grid crops", min: 1, max, value: start, format: (value) => `${value} + 1` };
  }
  const best = lut.rows.find((row) => row.target_crops === start);
  const row = best?.options[best.best];
  if (by === "tokens") {
    const all = [...options.map((one) => one.tokens.prompt), plan.tokens.prompt];
    const [min, max] = [Math.min(...all), Math.max(...all)];
    const value = row?.tokens.prompt ?? max;
    return { label: "At most, prompt tokens", min, max, value, format: (tokens) => count(tokens) };
  }
  const all = [...options.map((one) => one.latency), plan.latency].flatMap(
    (one) => one.vision_ms?.p95 ?? [],
  );
  if (!all.length) return null;
  const [min, max] = [Math.ceil(Math.min(...all)), Math.ceil(Math.max(...all))];
  const value = Math.ceil(row?.latency.vision_ms?.p95 ?? max);
  return { label: "At most, at p95", min, max, value, format: time };
}

/**
 * The next smaller number of crops that keeps the aspect, as something to see at once.
 * @param {PlanAnswer} plan
 */
function startOf({ control, tiling }) {
  const smaller = control.sizes.filter(
    (one) => one.reached_by === "fit" && one.crops < tiling.crops,
  );
  return smaller.at(-1)?.crops ?? tiling.crops;
}

/**
 * Without an image: the size that gives so many crops.
 * @param {Context} context
 * @param {By} by
 * @param {number} target
 * @param {Result["call"]} call
 * @param {AbortSignal} signal
 * @returns {Promise<Result | string>}
 */
async function sizeAlone(context, by, target, call, signal) {
  if (by !== "crops")
    return "Choose an image first: what to give up for a budget depends on what is in it.";
  const size = context.plan.control.sizes.find((one) => one.crops === target);
  if (size === undefined) return `No image of any size gives ${crops(target)} here.`;
  const { width, height } = size;
  const plan = await getJson("plan", { ...context.config, width, height }, signal);
  return { plan, mode: size.reached_by, blob: null, header: () => null, call };
}

/**
 * @param {Context} context
 * @param {Result} result
 */
function headline({ plan: before }, { plan, mode, header }) {
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
function differences({ plan: now, file }, { plan: then, blob, header }) {
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
    { class: "scroll" },
    h(
      "table",
      { class: "differences" },
      h("thead", {}, h("tr", {}, ...names)),
      h("tbody", {}, ...body),
    ),
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
