/** Calls of the public API, relative to where the page is, so that it works behind a prefix. */

/** @typedef {Record<string, string | number | boolean | null | undefined>} Query */
/** @typedef {(done: number, total: number) => void} OnProgress */

/** What the API says is wrong; or that there was no answer, as status 0. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{title?: string, detail?: string, type?: string} & Record<string, any>} facts
   */
  constructor(status, facts) {
    super(facts.detail || facts.title || `the service answered with status ${status}`);
    this.status = status;
    this.facts = facts;
    /** What it is about, where the API cannot know its name. */
    this.about = "";
  }
}

const UNREACHABLE = { detail: "The service does not answer. Is it still running?" };
/** Of a proxy that wants a login, say. */
const NOT_OURS = { detail: "The answer is not one of the service's. Try to load the page again." };
/** It was moved or changed since it was chosen, or is a folder. */
const UNREADABLE = { detail: "The file cannot be read. Choose it again." };

/**
 * The address of a call; parameters without a value are left out.
 * @param {string} path
 * @param {Query} query
 */
export function addressOf(path, query) {
  const address = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "")
      address.searchParams.set(name, String(value));
  }
  // A comma may stand in a query as it is, and `4,4` reads better so.
  address.search = address.search.replaceAll("%2C", ",");
  return address;
}

/**
 * What a GET answers.
 * @param {string} path
 * @param {Query} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<Blob>}
 */
export async function getBlob(path, query = {}, signal) {
  const address = addressOf(path, query);
  /** @type {Response} */
  let response;
  /** @type {Blob} */
  let body;
  try {
    response = await fetch(address, { signal: signal ?? null });
    body = await response.blob();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, UNREACHABLE);
  }
  if (!response.ok) throw problemOf(response.status, await body.text());
  return body;
}

/**
 * The JSON that a GET answers.
 * @param {string} path
 * @param {Query} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>} as OpenAPI has it; whoever calls names the type
 */
export async function getJson(path, query = {}, signal) {
  return jsonOf(await getBlob(path, query, signal));
}

/**
 * An answer as JSON.
 * @param {Blob} body
 * @returns {Promise<any>} as OpenAPI has it; whoever calls names the type
 */
export async function jsonOf(body) {
  try {
    return JSON.parse(await body.text());
  } catch {
    throw new Problem(0, NOT_OURS);
  }
}

/**
 * What an upload is sent as. The service looks at the bytes; a browser that does not know a type
 * gives none.
 * @param {File} file
 */
export const typeOf = (file) => (file.type.startsWith("image/") ? file.type : "image/unknown");

/**
 * Upload an image.
 *
 * By XMLHttpRequest, as fetch tells nobody how much of a body has been sent.
 * @param {string} path
 * @param {Query} query
 * @param {File} file
 * @param {{accept?: string, signal: AbortSignal, onProgress?: OnProgress}} options
 * @returns {Promise<{body: Blob, header: (name: string) => string | null}>}
 */
export function postImage(path, query, file, { accept = "*/*", signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.open("POST", addressOf(path, query));
    request.responseType = "blob";
    request.setRequestHeader("Accept", accept);
    request.setRequestHeader("Content-Type", typeOf(file));
    request.upload.onprogress = (event) => onProgress?.(event.loaded, event.total);
    request.onload = async () => {
      const body = request.response;
      if (request.status >= 200 && request.status < 300)
        resolve({ body, header: (name) => request.getResponseHeader(name) });
      else reject(problemOf(request.status, await body.text()));
    };
    request.onerror = async () =>
      reject(new Problem(0, (await isReadable(file)) ? UNREACHABLE : UNREADABLE));
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    if (signal.aborted) reject(signal.reason);
    else request.send(file);
  });
}

/** @param {File} file */
async function isReadable(file) {
  return file
    .slice(0, 1)
    .arrayBuffer()
    .then(
      () => true,
      () => false,
    );
}

/**
 * @param {number} status
 * @param {string} text
 */
function problemOf(status, text) {
  try {
    return new Problem(status, JSON.parse(text));
  } catch {
    return new Problem(status, {}); // of a proxy, say
  }
}

/** Work of which only the latest matters: what was begun before is aborted. */
export class Latest {
  /** @type {AbortController | null} */
  #controller = null;

  /** @returns {AbortSignal} for the work that begins now */
  next() {
    this.stop();
    this.#controller = new AbortController();
    return this.#controller.signal;
  }

  stop() {
    this.#controller?.abort();
    this.#controller = null;
  }
}
