/** Latencies that are still to come: while the encoder loads, and while its profile is measured. */

import { count } from "./words.js";

/** How often one looks whether latencies have come. */
const POLL_MS = 3000;

/**
 * Why latencies are still to come; null where nothing more will come.
 * @param {PlanAnswer} plan
 * @param {() => void} onMore called once, when more has been measured
 * @param {AbortSignal} signal
 */
export async function waitingFor(plan, onMore, signal) {
  if (plan.latency.source !== "none" && plan.latency.basis === "measured") return null;
  const encoder = await encoderNow(signal);
  if (encoder === null) return null;
  const measuring = encoder.profile === "measuring" || encoder.profile === "waiting";
  if (encoder.state !== "loading" && !measuring) return null;
  again(encoder.profiled, onMore, signal);
  if (encoder.state === "loading") return "The encoder is being loaded; latencies follow.";
  return `The profile is being measured: ${count(encoder.profiled)} of ${count(encoder.to_profile)} counts so far.`;
}

/**
 * Look until more has been measured.
 * @param {number} profiled
 * @param {() => void} onMore
 * @param {AbortSignal} signal
 */
async function again(profiled, onMore, signal) {
  while (!signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    if (signal.aborted || document.hidden) continue;
    const encoder = await encoderNow(signal);
    if (signal.aborted) return;
    if (encoder && encoder.profiled !== profiled) return onMore();
  }
}

/**
 * How the encoder is; null where it cannot be told, as behind a proxy that keeps health to itself.
 * @param {AbortSignal} signal
 * @returns {Promise<ReadyAnswer["encoder"] | null>}
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
