import { readFile, realpath } from "node:fs/promises";
import { extname, isAbsolute, join, relative, sep } from "node:path";
import { isOurs } from "./origin.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".woff2": "font/woff2",
  ".json": "application/json; charset=utf-8",
};

/** SECURITY: the same policy as the daemon gives to browsers, but without any connection. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Answers `app://train-at-home/…` from the dashboard's bundle. */
export async function pageFile(bundle: string, request: Pick<Request, "method" | "url">): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") return refused(405);
  const path = await inside(bundle, request.url);
  const type = path === null ? undefined : TYPES[extname(path)];
  if (path === null || type === undefined) return refused(404);
  try {
    const body = request.method === "HEAD" ? null : new Uint8Array(await readFile(path));
    return new Response(body, { headers: headers(type) });
  } catch {
    return refused(404);
  }
}

/** SECURITY: the real path, links resolved, must lie inside the bundle; `startsWith` would not know `bundle-2`. */
async function inside(bundle: string, address: string): Promise<string | null> {
  if (!isOurs(address)) return null;
  try {
    const name = decodeURIComponent(new URL(address).pathname);
    if (name.includes("\0") || name.includes("\\")) return null;
    const root = await realpath(bundle);
    const path = await realpath(join(root, name === "/" ? "index.html" : name));
    const within = relative(root, path);
    const outside = within === "" || within === ".." || within.startsWith(`..${sep}`) || isAbsolute(within);
    return outside ? null : path;
  } catch {
    return null;
  }
}

function headers(type: string): Record<string, string> {
  return {
    "Content-Type": type,
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
  };
}

function refused(status: 404 | 405): Response {
  return new Response(null, { status, headers: { "Content-Security-Policy": "default-src 'none'" } });
}
