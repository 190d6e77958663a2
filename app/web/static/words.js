/** Numbers and commands as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** @param {number} value */
export const count = (value) => whole.format(value);

/** @param {number} ratio */
export const percent = (ratio) => `${(100 * ratio).toFixed(1)} %`;

/** @param {number} value */
export const factor = (value) => value.toFixed(2);

/**
 * A time, in ms or, from 10 s on, in s.
 * @param {number} ms
 */
export function time(ms) {
  if (ms >= 10_000) return `${precise.format(ms / 1000)} s`;
  return ms >= 100 ? `${whole.format(ms)} ms` : `${precise.format(ms)} ms`;
}

/** @param {number} size */
export function bytes(size) {
  if (size < 1000) return `${size} bytes`;
  return size < 1e6 ? `${precise.format(size / 1e3)} kB` : `${precise.format(size / 1e6)} MB`;
}

/** @param {{width: number, height: number}} size */
export const px = ({ width, height }) => `${width} × ${height} px`;

/** @param {{rows: number, cols: number}} tiling */
export const grid = ({ rows, cols }) => `${rows}×${cols}`;

/** @param {number} crops */
export const crops = (crops) => (crops === 1 ? "1 crop" : `${crops} crops`);

/**
 * A change, with a true minus sign; "the same" where there is none.
 * @param {number} difference
 * @param {(value: number) => string} format
 */
export function signed(difference, format) {
  if (difference === 0) return "the same";
  return `${difference < 0 ? "−" : "+"}${format(Math.abs(difference))}`;
}

/**
 * A word of a shell command.
 * @param {string} word
 */
export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
