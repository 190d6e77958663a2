/** Another cost: a slider, the image that has it, what changed, and how to get it. */

import { rangeOf } from "./aims.js";
import { Latest, Problem, getJson, postImage } from "./api.js";
import { byId, h } from "./dom.js";
import { isAbort, showProblem, uploadProgress } from "./messages.js";
import { differences, headline, resultOf } from "./result.js";
import { crops } from "./words.js";

/** @typedef {import("./aims.js").By} By */
/** @typedef {import("./aims.js").Range} Range */
/** @typedef {import("./result.js").Context} Context */
/** @typedef {import("./result.js").Result} Result */

/** So long the slider rests before an image is sent. */
const REST_MS = 200;

export class ChangePanel {
  #form = byId("targets", HTMLFormElement);
  #slider = byId("target", HTMLInputElement);
  #value = byId("target-value", HTMLOutputElement);
  #summary = byId("change-summary", HTMLElement);
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
  /** What is shown. @type {Result | null} */
  #result = null;

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
   * @param {boolean} isTimed whether nothing but latencies is new
   */
  update(context, isAnother, isTimed) {
    if (isAnother) this.#set.clear();
    this.#context = context;
    this.#arrange();
    const isUnderWay = this.#place.hasAttribute("aria-busy");
    const isKept = isTimed && this.#by !== "latency" && (isUnderWay || this.#result !== null);
    if (!isKept) this.#soon(0);
    else if (this.#result !== null) this.#renew(this.#result);
  }

  /**
   * New latencies for what is shown: the image stays as it is, so it is not sent again.
   * @param {Result} result
   */
  async #renew(result) {
    const plan = await getJson("plan", result.asked).catch(() => null);
    if (plan === null || this.#result !== result || this.#context === null) return;
    result.plan = plan;
    const table = this.#place.querySelector(".differences");
    table?.replaceWith(differences(this.#context, result));
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
    byId("target-label", HTMLElement).textContent = this.#range?.label ?? "At most, at p95";
    if (this.#range === null) return this.#show();
    const { min, max, value } = this.#range;
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
      this.#result = null;
      this.#summary.replaceChildren();
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
      const asked = { ...context.config, max_crops, ...size };
      const plan = await getJson("plan", asked, signal);
      return { plan, mode: header("X-Resize-Mode") ?? "", blob: body, header, call, asked };
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
    this.#result = typeof result === "string" ? null : result;
    if (typeof result === "string") {
      this.#summary.textContent = result;
      this.#place.replaceChildren();
      return;
    }
    if (result.blob !== null) this.#made = URL.createObjectURL(result.blob);
    this.#summary.replaceChildren(...headline(context, result));
    this.#place.replaceChildren(...resultOf(context, result, this.#made));
  }
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
  const asked = { ...context.config, width, height };
  const plan = await getJson("plan", asked, signal);
  return { plan, mode: size.reached_by, blob: null, header: () => null, call, asked };
}
