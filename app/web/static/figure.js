/** An image with its crops on it: where they lie, where they overlap, where there is padding. */

import { h, placed } from "./dom.js";
import { crops, grid, percent } from "./words.js";

/** Shorter side of a stretched canvas as it is drawn, of the longer: else crops would be lines. */
const NARROWEST = 1 / 24;

/** Every box has an id of its own, as one is named where it is selected. */
let boxesMade = 0;

/**
 * The shape a canvas is drawn in: as the model sees it, but where that loses the image's aspect, in
 * the image's own.
 * @param {PlanAnswer} plan
 * @param {boolean} isStretched
 */
function shapeOf(plan, isStretched) {
  const { width, height } = isStretched ? plan.image : plan.canvas;
  const least = isStretched ? Math.max(width, height) * NARROWEST : 0;
  return Math.max(width, least) / Math.max(height, least);
}

/**
 * Draw a plan.
 * @param {HTMLElement} container
 * @param {PlanAnswer} plan
 * @param {{isStretched: boolean, picture: string | null, onSelect?: (crop: CropAnswer | null) => void,
 *   label: string}} options `picture`: the address of the image; null where only its size is known.
 *   `onSelect`: told which crop is selected; without it none can be
 */
export function drawFigure(container, plan, { isStretched, picture, onSelect, label }) {
  const shape = shapeOf(plan, isStretched);
  const said = `${label}: ${grid(plan.tiling)}, ${crops(plan.tiling.crops)}.`;
  const canvas = onSelect
    ? h("div", {
        class: "canvas",
        role: "listbox",
        tabindex: 0,
        "aria-label": `${said} Arrow keys go from crop to crop.`,
      })
    : h("div", { class: "canvas", role: "img", "aria-label": said });
  canvas.style.setProperty("--shape", String(shape));
  canvas.append(...ground(plan, picture), ...padding(plan), ...overlaps(plan));
  const boxes = plan.crops.map((crop) => cropBox(crop, plan));
  canvas.append(...boxes);
  if (onSelect) listen(canvas, boxes, plan, onSelect);
  container.replaceChildren(canvas);
}

/**
 * The picture where it lies on the canvas.
 * @param {PlanAnswer} plan
 * @param {string | null} picture
 */
function ground({ canvas }, picture) {
  const box = contentBox(canvas);
  if (picture === null) return [placed(h("div", { class: "ground" }), box, canvas)];
  const shown = h("img", { src: picture, alt: "", draggable: "false" });
  shown.addEventListener("error", () => {
    const note = "This browser cannot show this file. Its crops are right all the same.";
    shown.replaceWith(placed(h("div", { class: "ground" }, h("span", {}, note)), box, canvas));
  });
  return [placed(shown, box, canvas)];
}

/** @param {CanvasAnswer} canvas */
function contentBox({ pad_left, pad_top, scaled_width, scaled_height }) {
  return [pad_left, pad_top, pad_left + scaled_width, pad_top + scaled_height];
}

/**
 * What of the canvas is not the image.
 * @param {PlanAnswer} plan
 */
function padding({ canvas }) {
  const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = contentBox(canvas);
  const { width, height } = canvas;
  const strips = [
    [0, 0, width, y0],
    [0, y1, width, height],
    [0, y0, x0, y1],
    [x1, y0, width, y1],
  ];
  return strips
    .filter(([left = 0, top = 0, right = 0, bottom = 0]) => right > left && bottom > top)
    .map((strip) => placed(h("div", { class: "padding", title: "Padding" }), strip, canvas));
}

/**
 * Bands where neighbours overlap; where a row's and a column's cross, four crops do.
 * @param {PlanAnswer} plan
 */
function overlaps({ canvas, tiling, config }) {
  const { window_px: step, margin_px: margin } = config;
  if (margin === 0) return [];
  const { width, height } = canvas;
  const upright = Array.from({ length: tiling.cols - 1 }, (_, at) => {
    const x = (at + 1) * step;
    return placed(h("div", { class: "overlap across" }), [x, 0, x + margin, height], canvas);
  });
  const level = Array.from({ length: tiling.rows - 1 }, (_, at) => {
    const y = (at + 1) * step;
    return placed(h("div", { class: "overlap down" }), [0, y, width, y + margin], canvas);
  });
  return [...upright, ...level];
}

/**
 * @param {CropAnswer} crop
 * @param {PlanAnswer} plan
 */
function cropBox(crop, plan) {
  const box = h(
    "div",
    {
      class: `crop row-${crop.row % 2} col-${crop.col % 2}`,
      role: "option",
      id: `crop-${++boxesMade}`,
      "data-index": crop.index,
      "aria-selected": "false",
      "aria-label": `Crop ${crop.index}, ${describe(crop)}`,
    },
    h("span", { class: "number" }, crop.index),
  );
  return placed(box, crop.canvas_box, plan.canvas);
}

/**
 * Let a crop be selected, by pointing at it or by arrow keys.
 * @param {HTMLElement} canvas
 * @param {HTMLElement[]} boxes
 * @param {PlanAnswer} plan
 * @param {(crop: CropAnswer | null) => void} onSelect
 */
function listen(canvas, boxes, plan, onSelect) {
  let selected = -1;
  /** @param {number} index */
  const select = (index) => {
    selected = index;
    for (const [at, box] of boxes.entries())
      box.setAttribute("aria-selected", String(at === index));
    const box = boxes[index];
    if (box) canvas.setAttribute("aria-activedescendant", box.id);
    else canvas.removeAttribute("aria-activedescendant");
    onSelect(plan.crops[index] ?? null);
  };
  canvas.addEventListener("click", (event) => {
    // Where crops overlap the nearest centre is meant: its number is what one points at.
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const x = ((event.clientX - left) / width) * plan.canvas.width;
    const y = ((event.clientY - top) / height) * plan.canvas.height;
    const nearest = nearestCrop(plan.crops, x, y);
    select(nearest === selected ? -1 : nearest);
  });
  canvas.addEventListener("keydown", (event) => {
    const next = neighbour(event.key, selected, plan.tiling);
    if (next === undefined) return;
    event.preventDefault();
    select(next);
  });
}

/**
 * @param {CropAnswer[]} all
 * @param {number} x
 * @param {number} y
 */
function nearestCrop(all, x, y) {
  const distances = all.map(({ canvas_box: [x0 = 0, y0 = 0, x1 = 0, y1 = 0] }) =>
    Math.hypot(x - (x0 + x1) / 2, y - (y0 + y1) / 2),
  );
  return distances.indexOf(Math.min(...distances));
}

/**
 * The crop that a key leads to; undefined where it leads to none. −1 is no crop.
 * @param {string} key
 * @param {number} from
 * @param {TilingAnswer} tiling
 */
function neighbour(key, from, { rows, cols, crops: last }) {
  if (key === "Escape") return -1;
  const [row, col] = from < 0 ? [0, 0] : [Math.floor(from / cols), from % cols];
  const start = from < 0;
  switch (key) {
    case "ArrowRight":
      return start ? 0 : Math.min(from + 1, last - 1);
    case "ArrowLeft":
      return start ? 0 : Math.max(from - 1, 0);
    case "ArrowDown":
      return start ? 0 : Math.min(row + 1, rows - 1) * cols + col;
    case "ArrowUp":
      return start ? 0 : Math.max(row - 1, 0) * cols + col;
    case "Home":
      return 0;
    case "End":
      return last - 1;
    default:
      return undefined;
  }
}

/**
 * What a crop shows, in words.
 * @param {CropAnswer} crop
 */
export function describe(crop) {
  const at = `row ${crop.row + 1}, column ${crop.col + 1}`;
  if (crop.image_box === null) return `${at}: padding alone`;
  const [x0, y0, x1, y1] = crop.image_box.map((side) => Math.round(side * 10) / 10);
  const padded = crop.padding_ratio > 0 ? `, ${percent(crop.padding_ratio)} of it padding` : "";
  return `${at}: x ${x0} to ${x1}, y ${y0} to ${y1} px of the image${padded}`;
}
