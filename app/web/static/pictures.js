/** Pictures that the service draws: shown, to be downloaded, and as a command. */

import { Latest, getBlob, postImage } from "./api.js";
import { curlBlock, curlOf } from "./curl.js";
import { byId, h } from "./dom.js";
import { isAbort, showProblem } from "./messages.js";
import { px } from "./words.js";

/** @typedef {{size: {width: number, height: number}, file: File | null,
 *   config: import("./api.js").Query}} Subject */

export class PicturePanel {
  #form = byId("kinds", HTMLFormElement);
  #place = byId("drawn", HTMLElement);
  #latest = new Latest();
  /** @type {Subject | null} */
  #subject = null;
  /** @type {string | null} */
  #kind = null;
  /** @type {string | null} */
  #drawn = null;

  constructor() {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (event.submitter instanceof HTMLButtonElement) this.#show(event.submitter.value);
    });
    byId("form", HTMLSelectElement).addEventListener("change", () => {
      if (this.#kind !== null) this.#show(this.#kind);
    });
  }

  /**
   * Another image, size or configuration: a picture that is shown is drawn anew.
   * @param {Subject} subject
   */
  update(subject) {
    this.#subject = subject;
    if (this.#kind !== null) this.#show(this.#kind);
  }

  /** @param {string} kind */
  async #show(kind) {
    if (this.#subject === null) return;
    this.#kind = kind;
    for (const button of this.#form.querySelectorAll("button"))
      button.setAttribute("aria-pressed", String(button.value === kind));
    const signal = this.#latest.next();
    const { file, size, config } = this.#subject;
    const form = byId("form", HTMLSelectElement).value;
    const query = { kind, format: form === "png" ? null : form, ...config };
    const sized = file ? query : { ...size, ...query };
    showProblem("picture-problem");
    this.#place.setAttribute("aria-busy", "true");
    try {
      const blob = file
        ? (await postImage("overlay", query, file, { signal })).body
        : await getBlob("overlay", sized, signal);
      if (!signal.aborted) this.#render(blob, kind, form, sized);
    } catch (error) {
      if (isAbort(error)) return;
      this.#place.replaceChildren();
      showProblem("picture-problem", error);
    }
    this.#place.removeAttribute("aria-busy");
  }

  /**
   * @param {Blob} blob
   * @param {string} kind
   * @param {string} form
   * @param {import("./api.js").Query} query
   */
  #render(blob, kind, form, query) {
    if (this.#drawn !== null) URL.revokeObjectURL(this.#drawn);
    this.#drawn = URL.createObjectURL(blob);
    const { file, size } = /** @type {Subject} */ (this.#subject);
    const name = `${(file?.name ?? `${size.width}x${size.height}`).replace(/\.\w+$/, "")}.${kind}.${form}`;
    const shown = h("img", { src: this.#drawn, alt: `The ${kind} of ${file?.name ?? px(size)}` });
    this.#place.replaceChildren(
      h("a", { href: this.#drawn, target: "_blank", title: "Open at full size" }, shown),
      h(
        "p",
        {},
        h("a", { class: "button", href: this.#drawn, download: name }, `Download ${name}`),
      ),
      curlBlock(curlOf("overlay", query, { file, out: name })),
    );
  }
}
