/** Making and finding elements. Text is always set as text, so nothing of an answer is markup. */

/** @typedef {Node | string | number | null | false | undefined} Child */
/** @typedef {Record<string, string | number | boolean | EventListener | undefined>} Attributes */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element. Attributes that are false or undefined are left out, functions become listeners.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * An SVG element.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Attributes} attributes
 * @param {Child[]} children
 * @returns {E}
 */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined && value !== false)
      element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false)
      element.append(typeof child === "number" ? String(child) : child);
  }
  return element;
}

/**
 * The element of the page with this id, which is of this kind.
 * @template {HTMLElement} E
 * @param {string} id
 * @param {new () => E} kind
 * @returns {E}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}

/**
 * Put boxes in percent of what they lie in: the box of `of`, both in the same units.
 * @template {HTMLElement} E
 * @param {E} element
 * @param {readonly number[]} box x0, y0, x1, y1
 * @param {{width: number, height: number}} of
 * @returns {E}
 */
export function placed(element, [x0 = 0, y0 = 0, x1 = 0, y1 = 0], of) {
  element.style.left = `${(100 * x0) / of.width}%`;
  element.style.top = `${(100 * y0) / of.height}%`;
  element.style.width = `${(100 * (x1 - x0)) / of.width}%`;
  element.style.height = `${(100 * (y1 - y0)) / of.height}%`;
  return element;
}
