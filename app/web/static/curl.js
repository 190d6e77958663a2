/** A command to copy. */

import { h } from "./dom.js";

/**
 * @param {string} command
 * @param {string} [what] what it does
 */
export function curlBlock(command, what) {
  const block = h("div", { class: "curl" }, what ? h("p", { class: "note" }, what) : null);
  const code = h("code", { tabindex: 0, "aria-label": "Command" }, command);
  const line = h("div", { class: "command" }, h("pre", {}, code));
  // There is none where the page does not come from this machine or by HTTPS.
  if (navigator.clipboard) {
    const copy = h("button", { type: "button", class: "copy" }, "Copy");
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command);
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    });
    line.append(copy);
  }
  block.append(line);
  return block;
}
