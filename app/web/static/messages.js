/** Problems as sentences, and how far an upload is. */

import { byId, h } from "./dom.js";
import { Problem } from "./api.js";
import { bytes } from "./words.js";

/**
 * Show what went wrong in the element with this id; with nothing, hide it. Aborted work went well.
 * @param {string} id
 * @param {unknown} [error]
 * @param {...import("./dom.js").Child} more
 */
export function showProblem(id, error, ...more) {
  if (isAbort(error)) return;
  const place = byId(id, HTMLElement);
  place.hidden = error === undefined;
  if (error === undefined) return place.replaceChildren();
  if (!(error instanceof Problem)) console.error(error);
  place.replaceChildren(h("p", {}, sentence(error)), ...more.filter((one) => one instanceof Node));
}

/** @param {unknown} error */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** @param {unknown} error */
function sentence(error) {
  const text = error instanceof Error ? error.message : String(error);
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  const about = error instanceof Problem && error.about ? `${error.about}: ` : "";
  return about + (/[.!?]$/.test(capital) ? capital : `${capital}.`);
}

/** Shown only where there is something to wait for. */
const PATIENCE_MS = 150;

/**
 * Progress of an upload in the element with this id, and then of the work on it.
 * @param {string} id
 * @param {string} doing what the service does once it has all bytes
 */
export function uploadProgress(id, doing) {
  const place = byId(id, HTMLElement);
  const bar = byId(`${id}-bar`, HTMLProgressElement);
  const text = byId(`${id}-text`, HTMLElement);
  bar.removeAttribute("value");
  text.textContent = doing;
  const timer = setTimeout(() => (place.hidden = false), PATIENCE_MS);
  return {
    /** @type {import("./api.js").OnProgress} */
    update(done, total) {
      if (done < total) {
        bar.value = done / total;
        text.textContent = `Uploading: ${bytes(done)} of ${bytes(total)}`;
      } else {
        bar.removeAttribute("value");
        text.textContent = doing;
      }
    },
    end() {
      clearTimeout(timer);
      place.hidden = true;
    },
  };
}
