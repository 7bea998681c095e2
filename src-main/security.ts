import type { App, Session, Shell, WebContents } from "electron";
import { SCHEME, externalAddress, isOurs } from "./origin.ts";

type RequestHandler = Exclude<Parameters<Session["setPermissionRequestHandler"]>[0], null>;
type CheckHandler = Exclude<Parameters<Session["setPermissionCheckHandler"]>[0], null>;
type Permission = Parameters<RequestHandler>[1] | Parameters<CheckHandler>[1];

/** SECURITY: what the page may ask the system for. Whatever is not here is refused. */
export const PERMISSIONS = {
  // "Copy" beside an address or a receipt: writes text, never reads.
  "clipboard-sanitized-write": true,
} as const satisfies Partial<Record<Permission, true>>;

/** SECURITY: no page may have more than ours, whatever makes it appear. */
export function guardContents(app: Pick<App, "on">, shell: Pick<Shell, "openExternal">): void {
  app.on("web-contents-created", (_event, contents) => guard(contents, shell));
}

function guard(contents: WebContents, shell: Pick<Shell, "openExternal">): void {
  // The dashboard is one page: nothing ever has to lead away from it.
  contents.on("will-navigate", (event) => {
    if (!isOurs(event.url)) event.preventDefault();
  });
  contents.on("will-frame-navigate", (event) => {
    if (!isOurs(event.url)) event.preventDefault();
  });
  // A redirect is followed without `will-navigate` being asked again.
  contents.on("will-redirect", (event) => {
    if (!isOurs(event.url)) event.preventDefault();
  });
  contents.on("will-attach-webview", (event) => event.preventDefault());
  contents.setWindowOpenHandler(({ url }) => {
    const address = externalAddress(url);
    if (address !== null) void shell.openExternal(address);
    return { action: "deny" };
  });
}

/** SECURITY: the page has no network and no devices; all that it knows comes through the bridge. */
export function guardSession(session: Session): void {
  session.setPermissionRequestHandler((contents, permission, callback) => {
    callback(isOurs(contents.getURL()) && Object.hasOwn(PERMISSIONS, permission));
  });
  session.setPermissionCheckHandler((_contents, permission, requestingOrigin) => {
    return isOurs(requestingOrigin) && Object.hasOwn(PERMISSIONS, permission);
  });
  session.setDevicePermissionHandler(() => false);
  session.webRequest.onBeforeRequest((details, callback) => {
    callback({ cancel: !mayLoad(details.url) });
  });
  // Nothing is downloaded; what the page makes itself (an export) may be saved.
  session.on("will-download", (event, item) => {
    if (!item.getURL().startsWith(`blob:${SCHEME}://`)) event.preventDefault();
  });
}

function mayLoad(address: string): boolean {
  return isOurs(address) || LOCAL.has(URL.parse(address)?.protocol ?? "");
}

/** These never leave the process; the page's own policy says where they may be used. */
const LOCAL: ReadonlySet<string> = new Set(["blob:", "data:", "devtools:"]);
