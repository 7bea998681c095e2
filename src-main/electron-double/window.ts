import { EventEmitter } from "node:events";
import { electron } from "./parts.ts";
import { WebContentsDouble } from "./web-contents.ts";
import { needReady, preventable } from "./world.ts";

type Modelled =
  | "show"
  | "hide"
  | "focus"
  | "close"
  | "destroy"
  | "restore"
  | "minimize"
  | "isVisible"
  | "isFocused"
  | "isMinimized"
  | "isDestroyed"
  | "loadURL"
  | "getNormalBounds"
  | "isMaximized"
  | "maximize";

/** `BrowserWindow`: shown, hidden, closed unless somebody prevents it, and dead after that. */
export class BrowserWindowDouble extends EventEmitter implements Pick<Electron.BrowserWindow, Modelled> {
  static readonly open = new Set<BrowserWindowDouble>();

  static getAllWindows(): BrowserWindowDouble[] {
    return [...BrowserWindowDouble.open];
  }

  readonly options: Electron.BrowserWindowConstructorOptions;
  readonly webContents: WebContentsDouble;
  #visible: boolean;
  #focused = false;
  #minimized = false;
  #maximized = false;

  constructor(options: Electron.BrowserWindowConstructorOptions = {}) {
    super();
    needReady("BrowserWindow");
    this.options = options;
    this.#visible = options.show ?? true;
    BrowserWindowDouble.open.add(this);
    this.webContents = new WebContentsDouble();
    electron().app.emit("web-contents-created", {}, this.webContents);
  }

  show(): void {
    this.#alive();
    this.#visible = true;
  }

  hide(): void {
    this.#alive();
    this.#visible = false;
    this.#focused = false;
  }

  focus(): void {
    this.#alive();
    this.#focused = true;
  }

  minimize(): void {
    this.#alive();
    this.#minimized = true;
  }

  restore(): void {
    this.#alive();
    this.#minimized = false;
  }

  maximize(): void {
    this.#alive();
    this.#maximized = true;
  }

  isMaximized(): boolean {
    return this.#maximized;
  }

  getNormalBounds(): Electron.Rectangle {
    const { x = 0, y = 0, width = 0, height = 0 } = this.options;
    return { x, y, width, height };
  }

  isVisible(): boolean {
    return this.#visible;
  }

  isFocused(): boolean {
    return this.#focused;
  }

  isMinimized(): boolean {
    return this.#minimized;
  }

  isDestroyed(): boolean {
    return !BrowserWindowDouble.open.has(this);
  }

  close(): void {
    this.#alive();
    const event = preventable({});
    this.emit("close", event);
    if (!event.defaultPrevented) this.destroy();
  }

  destroy(): void {
    if (!BrowserWindowDouble.open.delete(this)) return;
    this.webContents.destroy();
    this.emit("closed");
    const { app } = electron();
    if (BrowserWindowDouble.open.size > 0) return;
    if (!app.emit("window-all-closed")) app.quit();
  }

  /** Asks the protocol's handler, as the network service would; a page that is not there rejects. */
  async loadURL(url: string): Promise<void> {
    this.#alive();
    const answer = await electron().protocol.fetch(url);
    if (answer.status !== 200) throw new Error(`ERR_FILE_NOT_FOUND (-6) loading '${url}'`);
    this.webContents.show(url);
    this.emit("ready-to-show");
  }

  #alive(): void {
    if (this.isDestroyed()) throw new TypeError("Object has been destroyed");
  }
}
