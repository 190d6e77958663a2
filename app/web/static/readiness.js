/** Latencies that are still to come: while the encoder loads, and while its profile is measured. */

import { count } from "./words.js";

/** @typedef {ReadyAnswer["encoder"]} Encoder */

/** What of it is another where there is more to see. */
const NEWS = /** @type {const} */ (["state", "profile", "profiled"]);

/** How often one looks whether latencies have come. */
const POLL_MS = 3000;

/**
 * Why this plan's latency is still to come; null where it is there or none will come.
 * @param {PlanAnswer} plan
 * @param {() => void} onMore called once, when more has been measured, of any count
 * @param {AbortSignal} signal
 */
export async function waitingFor(plan, onMore, signal) {
  const encoder = await encoderNow(signal);
  if (encoder === null) return null;
  const measuring = encoder.profile === "measuring" || encoder.profile === "waiting";
  if (encoder.state !== "loading" && !measuring) return null;
  again(encoder, onMore, signal);
  // Other counts, and more samples of this one, are still to come.
  if (plan.latency.source !== "none" && plan.latency.basis === "measured") return null;
  if (encoder.state === "loading") return "The encoder is being loaded; latencies follow.";
  return `The profile is being measured: ${count(encoder.profiled)} of ${count(encoder.to_profile)} counts so far.`;
}

/**
 * Look until more has been measured, or all, or nothing can be.
 * @param {Encoder} before
 * @param {() => void} onMore
 * @param {AbortSignal} signal
 */
async function again(before, onMore, signal) {
  while (!signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    if (signal.aborted || document.hidden) continue;
    const now = await encoderNow(signal);
    if (signal.aborted) return;
    if (now && NEWS.some((name) => now[name] !== before[name])) return onMore();
  }
}

/**
 * How the encoder is; null where it cannot be told, as behind a proxy that keeps health to itself.
 * @param {AbortSignal} signal
 * @returns {Promise<Encoder | null>}
 */
async function encoderNow(signal) {
  try {
    // Not getJson: not ready is an answer, too.
    const answer = await fetch(new URL("readyz", document.baseURI), { signal });
    return (await answer.json()).encoder ?? null;
  } catch {
    return null;
  }
}
