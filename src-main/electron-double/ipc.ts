import { EventEmitter } from "node:events";
import { BrowserWindowDouble } from "./window.ts";

/** `ipcMain`, for messages: the frames' `post` brings them. */
export class IpcMainDouble extends EventEmitter {}

/** `ipcRenderer` in the preload script of the one window. */
export class IpcRendererDouble extends EventEmitter {
  send(channel: string, ...values: unknown[]): void {
    const [window] = BrowserWindowDouble.getAllWindows();
    if (window === undefined) throw new Error("there is no page");
    window.webContents.mainFrame.post(channel, ...values);
  }
}

/** `contextBridge`: functions become proxies, data copies; an error keeps nothing but its message. */
export class ContextBridgeDouble implements Pick<Electron.ContextBridge, "exposeInMainWorld"> {
  /** The page's `window`, as far as preload scripts have added to it. */
  readonly page: Record<string, unknown> = {};

  exposeInMainWorld(key: string, api: unknown): void {
    if (Object.hasOwn(this.page, key)) throw new Error(`Cannot bind an API on top of an existing property`);
    this.page[key] = across(api);
  }
}

function across(value: unknown): unknown {
  if (typeof value === "function") {
    return (...values: unknown[]) => across(value(...values.map((inner) => across(inner))));
  }
  if (value instanceof Promise) {
    return value.then(across, (error: unknown) => {
      throw new Error(error instanceof Error ? error.message : String(error));
    });
  }
  if (Array.isArray(value)) return value.map((inner) => across(inner));
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, across(inner)]));
  }
  return structuredClone(value);
}

/** `powerMonitor`: what the computer's owner does. */
export class PowerMonitorDouble
  extends EventEmitter
  implements Pick<Electron.PowerMonitor, "getSystemIdleTime" | "isOnBatteryPower">
{
  idleSeconds = 0;
  onBattery = false;

  getSystemIdleTime(): number {
    return this.idleSeconds;
  }

  isOnBatteryPower(): boolean {
    return this.onBattery;
  }

  unplug(): void {
    this.onBattery = true;
    this.emit("on-battery");
  }
}

/** `powerSaveBlocker`: what keeps the system from suspending now. */
export class PowerSaveBlockerDouble implements Pick<
  Electron.PowerSaveBlocker,
  "start" | "stop" | "isStarted"
> {
  readonly held = new Map<number, string>();
  #last = 0;

  start(type: "prevent-app-suspension" | "prevent-display-sleep"): number {
    this.#last += 1;
    this.held.set(this.#last, type);
    return this.#last;
  }

  stop(id: number): boolean {
    return this.held.delete(id);
  }

  isStarted(id: number): boolean {
    return this.held.has(id);
  }
}

/** `shell`: what was handed to the system's browser. */
export class SystemShellDouble implements Pick<Electron.Shell, "openExternal"> {
  readonly opened: string[] = [];

  openExternal(url: string): Promise<void> {
    this.opened.push(url);
    return Promise.resolve();
  }
}
