import { EventEmitter } from "node:events";
import { electron } from "./parts.ts";
import { preventable } from "./world.ts";

let lastId = 0;

/** `WebFrameMain`: a page or a frame in it. What is sent to it arrives later, and as a copy. */
export class FrameDouble
  extends EventEmitter
  implements Pick<Electron.WebFrameMain, "url" | "send" | "isDestroyed">
{
  url = "";
  readonly parent: FrameDouble | null;
  readonly #contents: WebContentsDouble;
  #destroyed = false;

  constructor(contents: WebContentsDouble, parent: FrameDouble | null = null) {
    super();
    this.#contents = contents;
    this.parent = parent;
  }

  send(channel: string, ...values: unknown[]): void {
    if (this.#destroyed) throw new Error("Render frame was disposed before WebFrameMain could be accessed");
    const copies = structuredClone(values);
    queueMicrotask(() => {
      if (!this.#destroyed && this.parent === null) electron().ipcRenderer.emit(channel, {}, ...copies);
    });
  }

  isDestroyed(): boolean {
    return this.#destroyed;
  }

  /** A script in this frame sends a message to the main process. */
  post(channel: string, ...values: unknown[]): void {
    const copies = structuredClone(values);
    const event = { sender: this.#contents, senderFrame: this, type: "frame", ports: [] };
    queueMicrotask(() => electron().ipcMain.emit(channel, event, ...copies));
  }

  dispose(): void {
    this.#destroyed = true;
  }
}

/** What became of an attempt to lead a page somewhere. */
export type Outcome = "allowed" | "prevented";

/** `WebContents`: without a listener's objection every navigation and every new window is allowed. */
export class WebContentsDouble
  extends EventEmitter
  implements Pick<Electron.WebContents, "id" | "isDestroyed" | "getURL" | "setWindowOpenHandler">
{
  readonly id = (lastId += 1);
  mainFrame = new FrameDouble(this);
  #openHandler: Parameters<Electron.WebContents["setWindowOpenHandler"]>[0] | null = null;
  #destroyed = false;

  isDestroyed(): boolean {
    return this.#destroyed;
  }

  getURL(): string {
    return this.mainFrame.url;
  }

  setWindowOpenHandler(handler: Parameters<Electron.WebContents["setWindowOpenHandler"]>[0]): void {
    this.#openHandler = handler;
  }

  // What happens to a page, for tests to bring about.

  /** The page is there; a frame of an older page is gone. */
  show(url: string): void {
    this.emit("did-start-navigation", { url, isMainFrame: true, isSameDocument: false });
    this.mainFrame.dispose();
    this.mainFrame = new FrameDouble(this);
    this.mainFrame.url = url;
  }

  /** A script sets `location`, or a link is followed. */
  navigate(url: string): Outcome {
    return this.#lead("will-navigate", url);
  }

  /** A frame inside the page is led somewhere. */
  navigateFrame(url: string): Outcome {
    const event = preventable({ url, isMainFrame: false, frame: null });
    this.emit("will-frame-navigate", event);
    return event.defaultPrevented ? "prevented" : "allowed";
  }

  /** A server answers with 302. */
  redirect(url: string): Outcome {
    return this.#lead("will-redirect", url);
  }

  attachWebview(): Outcome {
    const event = preventable({});
    this.emit("will-attach-webview", event, {}, {});
    return event.defaultPrevented ? "prevented" : "allowed";
  }

  /** `window.open`, or a link with a target. */
  openWindow(url: string): Outcome {
    if (this.#openHandler === null) return "allowed";
    const details = { url, frameName: "", features: "", disposition: "foreground-tab" } as const;
    const answer = this.#openHandler({ ...details, referrer: { url: this.getURL(), policy: "default" } });
    return answer.action === "deny" ? "prevented" : "allowed";
  }

  crash(): void {
    this.emit("render-process-gone", {}, { reason: "crashed", exitCode: 5 });
  }

  destroy(): void {
    this.#destroyed = true;
    this.mainFrame.dispose();
    this.emit("destroyed");
  }

  #lead(kind: "will-navigate" | "will-redirect", url: string): Outcome {
    const event = preventable({ url, isMainFrame: true, isSameDocument: false, frame: this.mainFrame });
    this.emit(kind, event, url);
    if (event.defaultPrevented) return "prevented";
    this.show(url);
    return "allowed";
  }
}
