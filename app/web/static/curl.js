/** Calls as commands for a shell. */

import { addressOf, typeOf } from "./api.js";
import { h } from "./dom.js";
import { quoted } from "./words.js";

/**
 * The same call for a shell.
 * @param {string} path
 * @param {import("./api.js").Query} query
 * @param {{file?: File | null, upload?: boolean, out?: string}} [options] `upload` without a file
 *   stands for any
 */
export function curlOf(path, query, { file = null, upload = file !== null, out } = {}) {
  const words = ["curl"];
  if (upload) {
    const name = file?.name ?? "photo.jpg";
    const type = file ? typeOf(file) : "image/jpeg";
    words.push("--data-binary", quoted(`@${name}`), "-H", quoted(`Content-Type: ${type}`));
  }
  words.push(`'${addressOf(path, query).href.replaceAll("'", "%27")}'`);
  if (out) words.push("-o", quoted(out));
  return words.join(" ");
}

/** @param {string} command */
export function curlBlock(command) {
  const code = h("code", { tabindex: 0, "aria-label": "Command" }, command);
  const line = h("div", { class: "command" }, h("pre", {}, code));
  // There is none where the page does not come from this machine or by HTTPS.
  if (navigator.clipboard) {
    const copy = h("button", { type: "button", class: "copy" }, "Copy");
    copy.addEventListener("click", async () => {
      const isCopied = await navigator.clipboard.writeText(command).then(
        () => true,
        () => false, // not allowed here
      );
      copy.textContent = isCopied ? "Copied" : "Not allowed";
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    });
    line.append(copy);
  }
  return h("div", { class: "curl" }, line);
}
