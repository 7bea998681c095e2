import { EventEmitter } from "node:events";
import type { Outcome, WebContentsDouble } from "./web-contents.ts";
import { needNotReady, preventable } from "./world.ts";

type RequestHandler = Parameters<Electron.Session["setPermissionRequestHandler"]>[0];
type CheckHandler = Parameters<Electron.Session["setPermissionCheckHandler"]>[0];
type DeviceHandler = Parameters<Electron.Session["setDevicePermissionHandler"]>[0];
type Permission = Parameters<Exclude<RequestHandler, null>>[1];
type CheckedPermission = Parameters<Exclude<CheckHandler, null>>[1];
type Handlers = "setPermissionRequestHandler" | "setPermissionCheckHandler" | "setDevicePermissionHandler";
type RequestListener = (
  details: { url: string },
  callback: (response: Electron.CallbackResponse) => void,
) => void;

/** `Session`. As in Electron, what nobody handles is granted and loaded. */
export class SessionDouble extends EventEmitter implements Pick<Electron.Session, Handlers> {
  #request: RequestHandler = null;
  #check: CheckHandler = null;
  #device: DeviceHandler = null;
  #beforeRequest: RequestListener | null = null;

  readonly webRequest = {
    onBeforeRequest: (listener: RequestListener | null): void => {
      this.#beforeRequest = listener;
    },
  };

  setPermissionRequestHandler(handler: RequestHandler): void {
    this.#request = handler;
  }

  setPermissionCheckHandler(handler: CheckHandler): void {
    this.#check = handler;
  }

  setDevicePermissionHandler(handler: DeviceHandler): void {
    this.#device = handler;
  }

  // What a page tries, for tests to bring about.

  ask(contents: WebContentsDouble, permission: Permission): boolean {
    let granted = this.#request === null;
    this.#request?.(contents as unknown as Electron.WebContents, permission, (answer) => (granted = answer), {
      isMainFrame: true,
      requestingUrl: contents.getURL(),
    } as Electron.PermissionRequest);
    return granted;
  }

  check(permission: CheckedPermission, origin: string): boolean {
    return this.#check?.(null, permission, origin, { isMainFrame: true } as never) ?? true;
  }

  useDevice(): boolean {
    return this.#device?.({ deviceType: "usb", origin: "", device: {} as Electron.USBDevice }) ?? true;
  }

  load(url: string): Outcome {
    let cancelled = false;
    this.#beforeRequest?.({ url }, (response) => (cancelled = response.cancel === true));
    return cancelled ? "prevented" : "allowed";
  }

  download(url: string): Outcome {
    const event = preventable({});
    this.emit("will-download", event, { getURL: () => url });
    return event.defaultPrevented ? "prevented" : "allowed";
  }
}

type SchemeHandler = (request: Request) => Response | Promise<Response>;

/** `protocol`: schemes get their privileges before ready, and one handler each. */
export class ProtocolDouble implements Pick<Electron.Protocol, "registerSchemesAsPrivileged" | "handle"> {
  schemes: Electron.CustomScheme[] = [];
  readonly #handlers = new Map<string, SchemeHandler>();

  registerSchemesAsPrivileged(schemes: Electron.CustomScheme[]): void {
    needNotReady("protocol.registerSchemesAsPrivileged");
    this.schemes = schemes;
  }

  handle(scheme: string, handler: SchemeHandler): void {
    if (this.#handlers.has(scheme)) throw new Error(`The scheme ${scheme} has been registered`);
    this.#handlers.set(scheme, handler);
  }

  /** The network service loads an address. */
  async fetch(url: string): Promise<Response> {
    const handler = this.#handlers.get(new URL(url).protocol.slice(0, -1));
    return handler === undefined ? Response.error() : await handler(new Request(url));
  }
}
