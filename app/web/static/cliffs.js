/** What lies beyond the nearest changes of the tiling. */

import { getJson } from "./api.js";
import { isAbort } from "./messages.js";

/**
 * The plans on the other side of the nearest changes of the tiling.
 * @param {PlanAnswer} plan
 * @param {import("./api.js").Query} config
 * @param {AbortSignal} signal
 * @returns {Promise<import("./facts.js").Cliff[]>}
 */
export async function cliffsOf({ image, headroom }, config, signal) {
  const steps = /** @type {const} */ (["width", "height"]).flatMap((side) => {
    const { down, up } = headroom[side];
    return [down === null ? [] : [-down - 1], up === null ? [] : [up + 1]]
      .flat()
      .map((by) => ({ side, by }));
  });
  const found = steps
    .filter(({ side, by }) => image[side] + by >= 1)
    .map(async ({ side, by }) => {
      const { width, height } = image;
      const beyond = { width, height, [side]: image[side] + by };
      const plan = await getJson("plan", { ...config, ...beyond }, signal).catch((error) => {
        if (isAbort(error)) throw error;
        return null; // Molmo itself fails there
      });
      return { side, by, plan };
    });
  return Promise.all(found);
}
