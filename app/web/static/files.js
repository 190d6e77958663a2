/** Images that are dropped or pasted anywhere on the page. */

/**
 * @param {HTMLElement} veil shown while a file is over the page
 * @param {(file: File) => void} take
 */
export function filesOf(veil, take) {
  let depth = 0;
  /** @param {DragEvent} event */
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;
  /** @param {boolean} isOver */
  const show = (isOver) => (veil.hidden = !isOver);
  // Entering an element fires before leaving the one around it, so they are counted.
  document.addEventListener("dragenter", (event) => {
    if (hasFiles(event)) show(++depth > 0);
  });
  document.addEventListener("dragleave", (event) => {
    if (hasFiles(event)) show(--depth > 0);
  });
  document.addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault(); // else the browser opens the file
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    show(false);
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (!file) return; // text into a field
    event.preventDefault();
    take(file);
  });
}
