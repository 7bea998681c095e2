import { createReadStream, realpathSync, statSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, isAbsolute, join, relative, sep } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".json": "application/json; charset=utf-8",
  ".webmanifest": "application/manifest+json; charset=utf-8",
  ".txt": "text/plain; charset=utf-8",
};

/**
 * The file of the bundle that a request path names, or null. SECURITY: the real path, links
 * resolved, must lie inside the bundle, and only types that a page is made of are served.
 */
export function bundleFile(bundle: string, urlPath: string): { path: string; type: string } | null {
  let name: string;
  try {
    name = decodeURIComponent(urlPath);
  } catch {
    return null;
  }
  if (name.includes("\0") || name.includes("\\")) return null;
  if (name.split("/").some((part) => part.startsWith("."))) return null;
  try {
    const root = realpathSync(bundle);
    const path = realpathSync(join(root, name === "/" ? "index.html" : name));
    const inside = relative(root, path);
    if (inside === "" || inside === ".." || inside.startsWith(`..${sep}`) || isAbsolute(inside)) return null;
    const type = TYPES[extname(path)];
    return type !== undefined && statSync(path).isFile() ? { path, type } : null;
  } catch {
    return null;
  }
}

/** File names under `assets/` carry a digest of their content: they never change. */
export function sendBundleFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: { path: string; type: string },
  urlPath: string,
): void {
  response.writeHead(200, {
    "Content-Type": file.type,
    "Content-Length": statSync(file.path).size,
    "Cache-Control": urlPath.startsWith("/assets/") ? "private, max-age=31536000, immutable" : "no-cache",
  });
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  createReadStream(file.path)
    .on("error", () => response.destroy())
    .pipe(response);
}
