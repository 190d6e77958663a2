/** Images that are dropped or pasted anywhere on the page. */

/**
 * @param {HTMLElement} veil shown while a file is over the page
 * @param {(file: File) => void} take
 */
export function filesOf(veil, take) {
  /** @param {DragEvent} event */
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;
  /** @param {boolean} isOver */
  const show = (isOver) => (veil.hidden = !isOver);
  /** @param {DragEvent} event */
  const over = (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // else the browser opens the file
    show(true);
  };
  document.addEventListener("dragenter", over);
  document.addEventListener("dragover", over);
  document.addEventListener("dragleave", (event) => {
    // Out of the window, not into another element. Counting instead would miss elements that are
    // redrawn meanwhile.
    if (event.relatedTarget === null) show(false);
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
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
