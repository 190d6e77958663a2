/** What the slider can aim at: crops, tokens or latency, from where to where. */

import { count, time } from "./words.js";

/** @typedef {"crops" | "tokens" | "latency"} By */
/** @typedef {{label: string, min: number, max: number, value: number,
 *   format: (value: number) => string}} Range */

/**
 * What the slider goes over, and where it starts; null where there is nothing to aim at.
 * @param {By} by
 * @param {{plan: PlanAnswer, lut: LutAnswer}} shown
 * @returns {Range | null}
 */
export function rangeOf(by, { plan, lut }) {
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
