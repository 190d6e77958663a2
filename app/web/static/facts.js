/** What a plan costs, as figures: crops, tokens by kind, overlap, latency, the nearest cliffs. */

import { h } from "./dom.js";
import { count, crops, factor, grid, percent, signed, time } from "./words.js";

/** @typedef {{side: "width" | "height", by: number, plan: PlanAnswer | null}} Cliff `by` in px; no
 *   plan: beyond it Molmo fails */

const KINDS = /** @type {const} */ (["patch", "column", "start", "end"]);

/**
 * @param {HTMLElement} container
 * @param {PlanAnswer} plan
 * @param {string | null} waiting why latencies are still to come; null where they are not
 */
export function drawFacts(container, plan, waiting) {
  container.replaceChildren(
    cropsFact(plan),
    tokensFact(plan),
    overlapFact(plan),
    latencyFact(plan, waiting),
    h("div", { class: "fact", id: "cliffs" }, h("h3", {}, "Next cliffs")),
  );
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} unit
 * @param {...import("./dom.js").Child} more
 */
function fact(name, value, unit, ...more) {
  return h(
    "div",
    { class: "fact" },
    h("h3", {}, name),
    h("p", { class: "value" }, value, " ", h("small", {}, unit)),
    ...more,
  );
}

/** @param {...import("./dom.js").Child} children */
const note = (...children) => h("p", { class: "note" }, ...children);

/** @param {PlanAnswer} plan */
function cropsFact({ tiling, config }) {
  return fact(
    "Crops",
    `${tiling.crops} + 1`,
    `${grid(tiling)} and the global crop`,
    note(`of ${config.max_crops} at most, each ${config.crop_size_px} px`),
  );
}

/** @param {PlanAnswer} plan */
function tokensFact({ tokens }) {
  const bar = h("div", { class: "bar", "aria-hidden": "true" });
  const list = h("ul", { class: "legend" });
  for (const kind of KINDS) {
    const part = h("span", { class: kind });
    part.style.flexGrow = String(tokens[kind]);
    bar.append(part);
    list.append(h("li", { class: kind }, `${kind} ${count(tokens[kind])}`));
  }
  return fact(
    "Prompt tokens",
    count(tokens.prompt),
    "tokens",
    bar,
    list,
    note(`the encoder computes ${count(tokens.computed)}`),
  );
}

/** @param {PlanAnswer} plan */
function overlapFact({ overlap }) {
  return fact(
    "Overlap",
    percent(overlap.overlap_ratio),
    "of patches in several crops",
    note(
      `${factor(overlap.redundancy_ratio)} crops a patch, at most ${overlap.max_overlap_count}; ` +
        `${factor(overlap.encoder_redundancy)} patches encoded for each that shows some of the image`,
    ),
  );
}

/**
 * @param {PlanAnswer} plan
 * @param {string | null} waiting
 */
function latencyFact({ latency }, waiting) {
  if (latency.vision_ms === null)
    return fact("Latency", "–", "", note(waiting ?? `No latency: ${latency.reason}.`));
  const { p50, p95, samples } = latency.vision_ms;
  const passes = samples === 1 ? "the only pass so far" : `${count(samples)} passes`;
  const random =
    latency.weights === "random" ? "; random weights, whose times are the real ones" : "";
  return fact(
    "Latency",
    time(p50),
    "to vision tokens, median",
    note(
      `p95 ${time(p95)} over ${passes} on ${latency.device}, ${latency.dtype}, ${latency.runtime}${random}. `,
      h("span", { title: latency.reason, class: "why", tabindex: 0 }, basisOf(latency)),
    ),
    waiting === null ? null : note(waiting),
  );
}

/** @param {LatencyAnswer} latency */
function basisOf({ basis }) {
  return basis === "measured" ? "Measured for this count." : "Predicted from measured counts.";
}

/**
 * Where the tiling changes when one side alone does, nearest first.
 * @param {PlanAnswer} plan
 * @param {Cliff[]} cliffs
 */
export function drawCliffs(plan, cliffs) {
  const container = document.getElementById("cliffs");
  if (container === null) return;
  const sorted = [...cliffs].sort((one, other) => Math.abs(one.by) - Math.abs(other.by));
  const list = h("ul", { class: "cliffs" }, ...sorted.map((cliff) => cliffItem(plan, cliff)));
  const none = note("None: no change of one side alone changes the tiling.");
  container.replaceChildren(h("h3", {}, "Next cliffs"), sorted.length ? list : none);
}

/**
 * @param {PlanAnswer} plan
 * @param {Cliff} cliff
 */
function cliffItem(plan, { side, by, plan: beyond }) {
  const words = {
    width: by < 0 ? "narrower" : "wider",
    height: by < 0 ? "shorter" : "taller",
  };
  const where = h("strong", {}, `${count(Math.abs(by))} px ${words[side]}`);
  if (beyond === null) return h("li", {}, where, ": too narrow for Molmo");
  const difference = beyond.tokens.prompt - plan.tokens.prompt;
  return h(
    "li",
    {},
    where,
    `: ${grid(beyond.tiling)}, ${crops(beyond.tiling.crops)}, ${count(beyond.tokens.prompt)} tokens `,
    h(
      "span",
      { class: difference < 0 ? "less" : difference > 0 ? "greater" : "" },
      `(${signed(difference, count)})`,
    ),
  );
}
