// The user's own copy of a photo, kept on this device only, for an hour at most and never past sign-out.
// The server deletes its copy; this one lets the page lay outline and heat map over the photo.

const DATABASE = "dermai-pictures";
const STORE = "pictures";
const MAX_AGE_MS = 60 * 60 * 1000;

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function inStore(mode, work) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** Keep `file` under the analysis' id. A browser that refuses storage only loses the overlay. */
export async function keep(id, file) {
  try {
    await inStore("readwrite", (store) => store.put({ file, at: Date.now() }, id));
  } catch (error) {
    console.info("The photo is not kept for the overlay:", error.name);
  }
}

/** The copy kept for the analysis, or null. */
export async function recall(id) {
  try {
    const kept = await inStore("readonly", (store) => store.get(id));
    if (!kept) return null;
    if (Date.now() - kept.at > MAX_AGE_MS) {
      await forget(id);
      return null;
    }
    return kept.file;
  } catch {
    return null;
  }
}

/** Remove the copy of one analysis. */
export async function forget(id) {
  try {
    await inStore("readwrite", (store) => store.delete(id));
  } catch {
    // Nothing was kept.
  }
}

/** Remove what is older than the limit. */
export async function sweep() {
  try {
    const ids = await inStore("readonly", (store) => store.getAllKeys());
    for (const id of ids) await recall(id);
  } catch {
    // Nothing was kept.
  }
}

/** Remove every copy: at sign-out. */
export function forgetAll() {
  try {
    indexedDB.deleteDatabase(DATABASE);
  } catch {
    // This browser has no such storage, so nothing was kept.
  }
}

/** SHA-256 of a file as lower-case hex, or null where the browser cannot compute it. */
export async function sha256(file) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
